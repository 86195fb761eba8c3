package spanner

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"sync/atomic"

	databases "cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instances "cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
)

// channel is one connection to the server. The client library has a pool of
// channels and sessions, dials anew and runs aborted transactions again; the
// protocol's stubs do none of that, and those here stand on a channel that has
// one network connection only.
type channel struct {
	grpc *grpc.ClientConn
	wire *wire

	pb.SpannerClient
	databases databases.DatabaseAdminClient
	instances instances.InstanceAdminClient
}

// newChannel makes a channel of a network connection, which it closes if that
// does not work.
func newChannel(ctx context.Context, conn net.Conn, options []grpc.DialOption) (*channel, error) {
	w := &wire{Conn: conn}
	g, err := grpc.NewClient("passthrough:///"+conn.RemoteAddr().String(), append(slices.Clone(options),
		grpc.WithContextDialer(w.take),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))...)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &channel{
		grpc: g, wire: w, SpannerClient: pb.NewSpannerClient(g),
		databases: databases.NewDatabaseAdminClient(g), instances: instances.NewInstanceAdminClient(g),
	}
	if err := c.connect(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// connect waits until the server has greeted: a port that is published accepts
// connections for a server that is dead.
func (c *channel) connect(ctx context.Context) error {
	c.grpc.Connect()
	for {
		state := c.grpc.GetState()
		switch {
		case state == connectivity.Ready:
			return nil
		case c.closed():
			return errors.New("the server closed the connection before it said anything")
		case !c.grpc.WaitForStateChange(ctx, state):
			return fmt.Errorf("wait for the server's greeting: %w", ctx.Err())
		}
	}
}

// closed is true once the connection has broken; there is no other.
func (c *channel) closed() bool { return c.wire.broken.Load() }

func (c *channel) close() error { return errors.Join(c.grpc.Close(), c.wire.Close()) }

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
