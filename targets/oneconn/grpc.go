// Package oneconn holds libraries to one network connection. What they offer by
// themselves keeps several, dials again when one breaks, and may send a request
// twice, so that nobody knows what was executed how often.
package oneconn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// Channel is a channel of gRPC on one network connection. Nothing on it is
// tried again.
type Channel struct {
	*grpc.ClientConn
	wire *wire
}

// NewChannel makes a channel of a network connection, which it closes if that
// does not work.
func NewChannel(ctx context.Context, conn net.Conn, options ...grpc.DialOption) (*Channel, error) {
	w := &wire{Conn: conn}
	g, err := grpc.NewClient("passthrough:///"+conn.RemoteAddr().String(), append(slices.Clone(options),
		grpc.WithContextDialer(w.take),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))...)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &Channel{g, w}
	if err := c.connect(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// connect waits until the server has greeted: a port that is published accepts
// connections for a server that is dead.
func (c *Channel) connect(ctx context.Context) error {
	c.Connect()
	for {
		state := c.GetState()
		switch {
		case state == connectivity.Ready:
			return nil
		case c.Closed():
			return errors.New("the server closed the connection before it said anything")
		case !c.WaitForStateChange(ctx, state):
			return fmt.Errorf("wait for the server's greeting: %w", ctx.Err())
		}
	}
}

// Closed is true once the connection has broken; there is no other.
func (c *Channel) Closed() bool { return c.wire.broken.Load() }

// Close ends the channel and its connection.
func (c *Channel) Close() error { return errors.Join(c.ClientConn.Close(), c.wire.Close()) }

// wire is the one network connection that a channel gets.
type wire struct {
	net.Conn
	taken, broken atomic.Bool
}

var errBroken = errors.New("the connection broke; there is no second one")

func (w *wire) take(context.Context, string) (net.Conn, error) {
	if w.taken.Swap(true) {
		return nil, errBroken
	}
	return w, nil
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}

// Close implements net.Conn.
func (w *wire) Close() error {
	w.broken.Store(true)
	if err := w.Conn.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
