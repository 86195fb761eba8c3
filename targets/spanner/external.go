package spanner

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"regexp"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/oauth"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/external"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	// cloud is where Google's own is.
	cloud = "spanner.googleapis.com:443"
	// scope is what the account must be allowed: to make a database and use it.
	scope = "https://www.googleapis.com/auth/cloud-platform"

	// endpointNode is what the endpoint is called.
	endpointNode = "endpoint"
	// askEvery is how often a system that is not ready is asked.
	askEvery = time.Second
	// closeTimeout bounds the removal of the run's database.
	closeTimeout = 30 * time.Second
)

// foreign is a system that somebody else runs.
type foreign struct {
	*external.External
	*service
}

var (
	_ targets.System    = (*foreign)(nil)
	_ targets.Isolation = (*foreign)(nil)
	_ targets.Endpoints = (*foreign)(nil)
)

// outside connects to what the endpoint names: an instance of Google's, with the
// credentials that its tools find, or an emulator by host and port.
func (s *service) outside(ctx context.Context) (targets.System, error) {
	addr := s.spec.Endpoint
	switch instance := regexp.MustCompile(`^projects/[^/]+/instances/[^/]+$`); {
	case instance.MatchString(addr):
		account, err := oauth.NewApplicationDefault(ctx, scope)
		if err != nil {
			return nil, fmt.Errorf("find the credentials for %s: %w", s.spec.Endpoint, err)
		}
		s.instance, addr = s.spec.Endpoint, cloud
		host, _, _ := net.SplitHostPort(cloud)
		s.options = []grpc.DialOption{
			grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{ServerName: host})), grpc.WithPerRPCCredentials(account),
		}
	default:
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return nil, fmt.Errorf("endpoint %q, want projects/P/instances/I or an emulator's host:port", addr)
		}
		s.emulate()
	}
	if s.spec.Route != nil {
		var err error
		if addr, err = s.spec.Route(endpointNode, addr); err != nil {
			return nil, err
		}
	}
	x := external.New(map[string]string{endpointNode: addr})
	s.dialWire = x.Dial
	return &foreign{x, s}, nil
}

// Cluster implements targets.System.
func (f *foreign) Cluster() *cluster.Cluster { return f.External.Cluster() }

// Ready implements targets.System.
func (f *foreign) Ready(ctx context.Context) error {
	err := deploy.Poll(ctx, askEvery, func() error { return f.ask(ctx, endpointNode) })
	if err != nil {
		return fmt.Errorf("wait for %s: %w", f.spec.Endpoint, err)
	}
	return nil
}

// Versions implements targets.System.
func (f *foreign) Versions() map[string]string {
	return map[string]string{"endpoint": f.spec.Endpoint}
}

// Logs implements targets.System: there are none to be had.
func (*foreign) Logs(context.Context, string) error { return nil }

// Endpoints implements targets.Endpoints.
func (f *foreign) Endpoints(string) []string { return []string{f.spec.Endpoint, f.database()} }

// Close implements targets.System: it removes the run's database.
func (f *foreign) Close(ctx context.Context) error {
	if f.spec.Keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return f.drop(ctx, endpointNode)
}
