package riak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// wire is one connection to one node, for one request at a time. It is in the
// place of net/http's client, which keeps several, dials again when one breaks,
// follows redirects, and may send a request twice.
type wire struct {
	conn   net.Conn
	in     *bufio.Reader
	broken atomic.Bool
}

// dial connects, and waits for an answer: a port that is published accepts
// connections for a server that is dead.
func dial(ctx context.Context, addr string) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{conn: conn, in: bufio.NewReader(conn)}
	a, err := w.do(ctx, http.MethodGet, "/ping", nil, nil)
	if err == nil && a.status != http.StatusOK {
		err = a.refusal()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask whether it is there: %w", err), w.Close())
	}
	return w, nil
}

// answer is all of a response.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do makes one request. Whatever goes wrong breaks the connection: nobody knows
// what is under way on it.
func (w *wire) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*answer, error) {
	if w.Closed() {
		return nil, errClosed()
	}
	if err := ctx.Err(); err != nil {
		return nil, notApplied(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.conn.RemoteAddr().String()+path, body)
	if err != nil {
		return nil, notApplied(err)
	}
	if header != nil {
		req.Header = header
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	a, err := w.exchange(req)
	if !stop() {
		w.broken.Store(true) // the deadline has come, if too late for this one
	}
	if err != nil {
		return nil, errors.Join(err, ctx.Err(), w.Close())
	}
	return a, nil
}

// exchange sends a request and reads its answer to the end.
func (w *wire) exchange(req *http.Request) (*answer, error) {
	if err := req.Write(w.conn); err != nil {
		return nil, fmt.Errorf("send request: %w", err)
	}
	resp, err := http.ReadResponse(w.in, req)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if resp.Close {
		w.broken.Store(true)
	}
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

// Close ends the connection, and what waits on it.
func (w *wire) Close() error {
	w.broken.Store(true)
	if err := w.conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Closed is true once the connection is of no use any more.
func (w *wire) Closed() bool { return w.broken.Load() }
