package riak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/oneconn"
)

// wire is one connection to one node.
type wire struct{ *oneconn.HTTP }

// dial connects, and waits for an answer: a port that is published accepts
// connections for a server that is dead.
func dial(ctx context.Context, addr string) (*wire, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{oneconn.NewHTTP(conn)}
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

// do makes one request.
func (w *wire) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+w.Addr()+path, body)
	if err != nil {
		return nil, targets.NotApplied(err)
	}
	if header != nil {
		req.Header = header
	}
	resp, err := w.Do(req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(resp.Body)
	return &answer{resp.StatusCode, resp.Header, text}, err
}
