package dynamodb

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// wire is one connection to one node, for one request at a time. It is in the
// place of net/http's client, which keeps several, dials again when one breaks,
// and may send a request twice.
type wire struct {
	conn   net.Conn
	in     *bufio.Reader
	broken atomic.Bool
}

// connect dials, with TLS if the URL says so.
func connect(ctx context.Context, address string, dial func(context.Context) (net.Conn, error)) (*wire, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("read endpoint: %w", err)
	}
	conn, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: u.Hostname()})
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	return &wire{conn: conn, in: bufio.NewReader(conn)}, nil
}

// Do implements the SDK's HTTPClient. Whatever goes wrong breaks the connection:
// nobody knows what is under way on it.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	if w.broken.Load() {
		return nil, errClosed()
	}
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		return nil, notApplied(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = w.conn.SetDeadline(time.Unix(1, 0)) })
	resp, err := w.exchange(req)
	if !stop() && err == nil {
		w.broken.Store(true) // the deadline has come, if too late for this one
	}
	if err != nil {
		w.Close()
		return nil, errors.Join(err, ctx.Err())
	}
	return resp, nil
}

// exchange sends a request and reads its answer to the end.
func (w *wire) exchange(req *http.Request) (*http.Response, error) {
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
		w.Close()
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// Close ends the connection, and what waits on it.
func (w *wire) Close() error {
	w.broken.Store(true)
	return w.conn.Close()
}

// Closed is true once the connection is of no use any more.
func (w *wire) Closed() bool { return w.broken.Load() }
