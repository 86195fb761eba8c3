package etcd

import (
	"context"
	"fmt"
	"net"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/capstan-dev/capstan/targets/oneconn"
)

// session is one connection to one member. The client library's own Client
// balances, retries and dials anew; its parts here stand directly on the
// protocol's stubs, which do none of that, and those on a channel that has one
// network connection only.
type session struct {
	*oneconn.Channel

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
	channel, err := oneconn.NewChannel(ctx, conn, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &session{
		Channel: channel,
		kv:      clientv3.NewKVFromKVClient(pb.NewKVClient(channel), nil),
		leases:  pb.NewLeaseClient(channel), watch: pb.NewWatchClient(channel),
		cluster: pb.NewClusterClient(channel), maintenance: pb.NewMaintenanceClient(channel),
	}, nil
}
