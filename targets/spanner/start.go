package spanner

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	port = 9010

	memory = 1 << 30
	cpus   = 2

	// emulatedInstance is where an emulator has its databases.
	emulatedInstance = "projects/capstan/instances/capstan"
)

func image() docker.Image {
	return docker.Image{Ref: officialImage(), Name: "capstan-spanner", Files: buildContext()}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s, err := newService(spec)
	if err != nil {
		return nil, err
	}
	if spec.Topology == outside {
		return s.outside(ctx)
	}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{emulator: image()},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(spec, images[emulator].Ref) },
		Memory: memory, CPUs: cpus,
	})
	if d == nil {
		return nil, err
	}
	if err == nil {
		d.Cluster().Why["Primaries"] = "the emulator is one process"
		d.Cluster().Why["Members"] = "the emulator is one process"
	}
	return s.inContainer(d), err
}

// system is an emulator in a container.
type system struct {
	*deploy.Deployment
	*service
}

var (
	_ targets.System    = (*system)(nil)
	_ targets.Isolation = (*system)(nil)
	_ targets.Endpoints = (*system)(nil)
)

func (s *service) inContainer(d *deploy.Deployment) *system {
	s.emulate()
	s.dialWire = func(ctx context.Context, node string) (net.Conn, error) {
		addr, err := d.Addr(node, port)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}
	return &system{d, s}
}

// emulate says that the system is an emulator, who asks nobody for a name.
func (s *service) emulate() {
	s.instance, s.emulated = emulatedInstance, true
	s.options = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
}

func nodes(spec targets.Spec, image string) []docker.NodeSpec {
	nodes := docker.Bare(1)
	nodes[0].Ports = []int{port}
	nodes[0].Server = &docker.Server{
		Name: emulator, Image: image, Entrypoint: []string{"/" + binary},
		Cmd: []string{
			"--host_port=0.0.0.0:9010",
			"--" + levelAbort + "=" + spec.Levels[levelAbort],
		},
	}
	return nodes
}

// Ready implements targets.System.
func (s *system) Ready(ctx context.Context) error {
	return s.Await(ctx, func(ctx context.Context) error {
		for _, n := range s.Cluster().Nodes {
			if err := s.ask(ctx, n); err != nil {
				return deploy.NotReady(n, err)
			}
		}
		return nil
	})
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"SPANNER_EMULATOR_HOST=" + addr, s.database()}
}
