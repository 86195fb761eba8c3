package etcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync/atomic"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
)

// session is one connection to one member. The client library's own Client
// balances, retries and dials anew; its parts here stand directly on the
// protocol's stubs, which do none of that, and those on a channel that has one
// network connection only.
type session struct {
	channel *grpc.ClientConn
	wire    *wire

	kv          clientv3.KV
	leases      pb.LeaseClient
	watch       pb.WatchClient
	cluster     pb.ClusterClient
	maintenance pb.MaintenanceClient
}

func (s *system) dial(ctx context.Context, node string) (*session, error) {
	addr, err := s.Addr(node, clientPort)
	if err != nil {
		return nil, err
	}
	ses, err := dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	return ses, nil
}

func dial(ctx context.Context, addr string) (*session, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: conn}
	channel, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(w.take),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	s := &session{
		channel: channel, wire: w,
		kv:     clientv3.NewKVFromKVClient(pb.NewKVClient(channel), nil),
		leases: pb.NewLeaseClient(channel), watch: pb.NewWatchClient(channel),
		cluster: pb.NewClusterClient(channel), maintenance: pb.NewMaintenanceClient(channel),
	}
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// connect waits until the member has greeted: a port that is published accepts
// connections for a server that is dead.
func (s *session) connect(ctx context.Context) error {
	s.channel.Connect()
	for {
		state := s.channel.GetState()
		switch {
		case state == connectivity.Ready:
			return nil
		case s.closed():
			return errors.New("the server closed the connection before it said anything")
		case !s.channel.WaitForStateChange(ctx, state):
			return fmt.Errorf("wait for the server's greeting: %w", ctx.Err())
		}
	}
}

// closed is true once the connection has broken; there is no other.
func (s *session) closed() bool { return s.wire.broken.Load() }

func (s *session) close() error { return errors.Join(s.channel.Close(), s.wire.Close()) }

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
