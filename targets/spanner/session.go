package spanner

import (
	"context"
	"net"

	databases "cloud.google.com/go/spanner/admin/database/apiv1/databasepb"
	instances "cloud.google.com/go/spanner/admin/instance/apiv1/instancepb"
	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/grpc"

	"github.com/capstan-dev/capstan/targets/oneconn"
)

// channel is one connection to the server. The client library has a pool of
// channels and sessions, dials anew and runs aborted transactions again; the
// protocol's stubs do none of that, and those here stand on a channel that has
// one network connection only.
type channel struct {
	*oneconn.Channel
	pb.SpannerClient
	databases databases.DatabaseAdminClient
	instances instances.InstanceAdminClient
}

// newChannel makes a channel of a network connection, which it closes if that
// does not work.
func newChannel(ctx context.Context, conn net.Conn, options []grpc.DialOption) (*channel, error) {
	g, err := oneconn.NewChannel(ctx, conn, options...)
	if err != nil {
		return nil, err
	}
	return &channel{
		Channel: g, SpannerClient: pb.NewSpannerClient(g),
		databases: databases.NewDatabaseAdminClient(g), instances: instances.NewInstanceAdminClient(g),
	}, nil
}
