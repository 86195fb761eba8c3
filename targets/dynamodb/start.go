package dynamodb

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const port = 8000

//go:embed image
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

func image() docker.Image {
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("dynamodb: embedded image files: " + err.Error())
	}
	return docker.Image{Ref: officialImage(), Name: "capstan-dynamodb", Files: files, Roots: true}
}

// scylla has no packages to build it from.
func scylla() docker.Image { return docker.Image{Ref: scyllaImage()} }

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image(), scylla()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	switch spec.Topology {
	case topologyExternal:
		return startOutside(ctx, spec)
	case topologyAlternator:
		return start(ctx, t.Name(), spec, "scylla", scylla(), alternators)
	}
	return start(ctx, t.Name(), spec, "dynamodb-local", image(), local)
}

// A node is small: several share a machine.
const (
	memory = 1 << 30
	cpus   = 2
)

// system is one in containers.
type system struct {
	*deploy.Deployment
	*service
}

var _ targets.System = (*system)(nil)

func start(ctx context.Context, target string, spec targets.Spec, name string, image docker.Image, nodes func(targets.Spec, string) []docker.NodeSpec) (targets.System, error) {
	s := &system{}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: target, Images: map[string]docker.Image{name: image}, Memory: memory, CPUs: cpus,
		Nodes: func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(spec, images[name].Ref) },
	})
	if d == nil {
		return nil, err
	}
	s.Deployment = d
	s.service = &service{spec: spec, url: "http://localhost", settings: nobody(), dial: s.dial}
	return s, err
}

// dial connects to a node.
func (s *system) dial(ctx context.Context, node string) (net.Conn, error) {
	addr, err := s.Addr(node, port)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
}

// Ready implements targets.System: every node has the table, and takes a write
// and returns it. It makes the table if there is none.
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
	return []string{"http://" + addr}
}

// local is a node of DynamoDB Local. It runs as root: the official image's user
// may not write to a new volume.
func local(spec targets.Spec, image string) []docker.NodeSpec {
	nodes := docker.Bare(1)
	nodes[0].Ports = []int{port}
	nodes[0].Server = &docker.Server{
		Name: "dynamodb-local", Image: image, User: "root", Volumes: []string{"/data"},
		Entrypoint: []string{"/capstan-entry.sh"},
		Cmd:        []string{"-port", fmt.Sprint(port), "-sharedDb", "-dbPath", "/data", "-disableTelemetry"},
		Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry}},
	}
	return nodes
}

// alternators are nodes of ScyllaDB. Every write is a lightweight transaction,
// as its documentation advises where writes have conditions.
func alternators(spec targets.Spec, image string) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "scylla", Image: image, Volumes: []string{"/var/lib/scylla"},
			Cmd: []string{
				"--seeds=" + nodes[0].Name, "--smp=1", "--memory=512M", "--overprovisioned=1", "--developer-mode=1",
				fmt.Sprintf("--alternator-port=%d", port), "--alternator-write-isolation=always_use_lwt",
			},
		}
	}
	return nodes
}
