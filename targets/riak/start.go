package riak

import (
	"context"
	_ "embed"
	"sync/atomic"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	port = 8098

	// Five nodes are to fit into 8 GiB.
	memory = 1536 << 20
	cpus   = 2

	admin = "/capstan-admin.sh"
)

//go:embed entry.sh
var entry []byte

//go:embed admin.sh
var adminScript []byte

func image() docker.Image { return docker.Image{Ref: officialImage()} }

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

type system struct {
	*deploy.Deployment
	// formed is true once the ring was formed and its bucket types made.
	formed atomic.Bool
}

var (
	_ targets.System    = (*system)(nil)
	_ targets.Endpoints = (*system)(nil)
)

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{"riak": image()},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(spec, images["riak"]) },
		Memory: memory, CPUs: cpus,
	})
	if d == nil {
		return nil, err
	}
	if err == nil {
		d.Cluster().Why["Primaries"] = "every node takes writes"
		d.Cluster().Why["Members"] = "a node that leaves the ring hands over all that it has first, for which there is no verb here"
	}
	return &system{Deployment: d}, err
}

func nodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	volumes := image.Volumes
	if len(volumes) == 0 {
		volumes = []string{"/var/lib/riak"}
	}
	strong := "off"
	if spec.Levels[levelResolve] == resolveStrong {
		strong = "on"
	}
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "riak", Image: image.Ref, User: "root", Volumes: volumes, Env: []string{"STRONG=" + strong},
			Entrypoint: []string{"/capstan-entry.sh"},
			Files: []docker.File{
				{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry},
				{Path: admin, Mode: 0o755, Content: adminScript},
			},
		}
	}
	return nodes
}

// Claim implements targets.System. In buckets with consensus "single-key strongly
// consistent operations are atomic, and operations on a given key are
// linearizable" (Riak KV documentation, "Strong Consistency"). Of all others it
// promises that replicas converge, whatever the quorums: they are not of the
// same nodes when some are down ("Eventual Consistency", sloppy quorums).
func (s *system) Claim() string {
	if s.Spec.Levels[levelResolve] == resolveStrong {
		return "linearizable"
	}
	return ""
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil
	}
	return []string{"http://" + addr}
}
