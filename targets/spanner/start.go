package spanner

import (
	"context"
	"sync/atomic"

	pb "cloud.google.com/go/spanner/apiv1/spannerpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	port = 9010

	memory = 1 << 30
	cpus   = 2
)

func image() docker.Image {
	return docker.Image{Ref: officialImage(), Name: "capstan-spanner", Files: buildContext()}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

type system struct {
	*deploy.Deployment
	bound *pb.TransactionOptions_ReadOnly // of reads
	// made is true once the database was made. What is gone then was lost, and
	// is not made anew.
	made atomic.Bool
}

var (
	_ targets.System    = (*system)(nil)
	_ targets.Isolation = (*system)(nil)
	_ targets.Endpoints = (*system)(nil)
)

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	bound, err := readBound(spec.Levels)
	if err != nil {
		return nil, err
	}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{emulator: image()},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(images[emulator].Ref) },
		Memory: memory, CPUs: cpus,
	})
	if d == nil {
		return nil, err
	}
	if err == nil {
		d.Cluster().Why["Primaries"] = "the emulator is one process"
		d.Cluster().Why["Members"] = "the emulator is one process"
	}
	return &system{Deployment: d, bound: bound}, err
}

func nodes(image string) []docker.NodeSpec {
	nodes := docker.Bare(1)
	nodes[0].Ports = []int{port}
	nodes[0].Server = &docker.Server{
		Name: emulator, Image: image, Entrypoint: []string{"/" + binary},
		Cmd: []string{
			"--host_port=0.0.0.0:9010",
			// A new transaction ends the one that is running: a client that is gone
			// must not leave one behind that stands in everybody's way. Spanner
			// itself takes the locks of an idle transaction away.
			"--abort_current_transaction_probability=100",
		},
	}
	return nodes
}

// readBound is the timestamp bound of the level.
func readBound(levels map[string]string) (*pb.TransactionOptions_ReadOnly, error) {
	d, err := staleness(levels)
	if err != nil {
		return nil, err
	}
	b := &pb.TransactionOptions_ReadOnly{TimestampBound: &pb.TransactionOptions_ReadOnly_Strong{Strong: true}}
	switch levels[levelRead] {
	case readBounded:
		b.TimestampBound = &pb.TransactionOptions_ReadOnly_MaxStaleness{MaxStaleness: durationpb.New(d)}
	case readExact:
		b.TimestampBound = &pb.TransactionOptions_ReadOnly_ExactStaleness{ExactStaleness: durationpb.New(d)}
	}
	return b, nil
}

// Claim implements targets.System. "Strong reads are guaranteed to see the
// effects of all transactions that have committed before the start of the read",
// and transactions are externally consistent (TransactionOptions: "Strong";
// Spanner: "TrueTime and external consistency"). Of single registers that is
// linearizability. A stale read sees a consistent prefix of the history, of a
// moment before: no promise by these models, not even that a client sees its own
// writes.
func (s *system) Claim() string {
	if s.Spec.Levels[levelRead] == readStrong {
		return "linearizable"
	}
	return ""
}

// Isolation implements targets.Isolation: external consistency is strict
// serializability. Of stale reads it is promised that they are "guaranteed to
// see a consistent prefix of the global transaction history" (TransactionOptions:
// "Exact staleness", and of bounded staleness that its timestamp is one of
// these): they have their place in the serial order, which is not that of real
// time.
func (s *system) Isolation() string {
	if s.Spec.Levels[levelRead] == readStrong {
		return "strict-serializable"
	}
	return "serializable"
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"SPANNER_EMULATOR_HOST=" + addr, database}
}
