package oneconn

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/capstan-dev/capstan/targets"
)

// HTTP is one connection to a server of HTTP/1.1, for one request at a time, in
// the place of net/http's client. It follows no redirects.
type HTTP struct {
	conn   net.Conn
	in     *bufio.Reader
	broken atomic.Bool
}

// NewHTTP speaks HTTP over a network connection.
func NewHTTP(conn net.Conn) *HTTP { return &HTTP{conn: conn, in: bufio.NewReader(conn)} }

// Addr is the server's address.
func (h *HTTP) Addr() string { return h.conn.RemoteAddr().String() }

// Do makes one request until its context ends, and reads the whole answer.
// Whatever goes wrong breaks the connection: nobody knows what is under way on
// it. The error wraps history.ErrNotApplied if nothing was sent.
func (h *HTTP) Do(req *http.Request) (*http.Response, error) {
	if h.Closed() {
		return nil, targets.ErrClosed
	}
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		return nil, targets.NotApplied(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = h.conn.SetDeadline(time.Unix(1, 0)) })
	resp, err := h.exchange(req)
	if !stop() {
		h.broken.Store(true) // the deadline has come, if too late for this one
	}
	if err != nil {
		return nil, errors.Join(err, ctx.Err(), h.Close())
	}
	return resp, nil
}

// exchange sends a request and reads its answer to the end.
func (h *HTTP) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(h.conn); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	resp, err := http.ReadResponse(h.in, req)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.Close {
		h.broken.Store(true)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// Close ends the connection, and what waits on it.
func (h *HTTP) Close() error {
	h.broken.Store(true)
	if err := h.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Closed is true once the connection is of no use any more.
func (h *HTTP) Closed() bool { return h.broken.Load() }
