package etcd

import (
	"context"
	"embed"
	"io/fs"
	"strings"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	clientPort = 2379
	peerPort   = "2380"

	// A member is small: several share a machine.
	memory = 512 << 20
	cpus   = 1
)

//go:embed image
var imageFiles embed.FS

func image(topology string) docker.Image {
	files, err := fs.Sub(imageFiles, "image/"+topology)
	if err != nil {
		panic("etcd: embedded image files: " + err.Error())
	}
	return docker.Image{
		Ref: officialImage(), Name: "capstan-etcd-" + topology, Files: files,
		Roots: topology == "v3.7", // its build fetches modules
	}
}

// Images implements targets.Images.
func (t Target) Images() (all []docker.Image) {
	for _, top := range t.Topologies() {
		all = append(all, image(top.Name))
	}
	return all
}

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s := &system{}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{"etcd": image(spec.Topology)},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return s.nodes(spec, images["etcd"]) },
		Memory: memory, CPUs: cpus,
	})
	if d == nil {
		return nil, err
	}
	s.Deployment = d
	if err == nil {
		s.Cluster().Primaries = s.primaries
		s.Cluster().Members = s.members()
	}
	return s, err
}

type system struct {
	*deploy.Deployment
	volume string // where the members have their data
}

var (
	_ targets.System    = (*system)(nil)
	_ targets.Isolation = (*system)(nil)
	_ targets.Endpoints = (*system)(nil)
)

func (s *system) nodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	volumes := image.Volumes
	if len(volumes) == 0 {
		volumes = []string{"/var/lib/etcd"}
	}
	s.volume = volumes[0]
	for i := range nodes {
		nodes[i].Ports = []int{clientPort}
		nodes[i].Server = &docker.Server{
			Name: "etcd", Image: image.Ref, Volumes: volumes,
			// The official image has no shell: everything is in the arguments.
			Entrypoint: []string{"/usr/local/bin/etcd"},
			Cmd:        arguments(spec, s.volume, nodes[i].Name, "new", names),
		}
	}
	return nodes
}

// arguments start a member: of a new cluster of these nodes, or of an existing
// one that consists of them. They count only for an empty disk.
func arguments(spec targets.Spec, volume, node, state string, members []string) []string {
	var urls []string
	for _, m := range members {
		urls = append(urls, m+"="+peerURL(m))
	}
	args := []string{
		"--name", node,
		"--data-dir", volume + "/capstan",
		"--listen-client-urls", "http://0.0.0.0:2379", "--advertise-client-urls", "http://" + node + ":2379",
		"--listen-peer-urls", "http://0.0.0.0:" + peerPort, "--initial-advertise-peer-urls", peerURL(node),
		"--initial-cluster", strings.Join(urls, ","), "--initial-cluster-state", state,
	}
	if spec.Levels[levelSync] == syncNever {
		args = append(args, "--unsafe-no-fsync")
	}
	return args
}

func peerURL(node string) string { return "http://" + node + ":" + peerPort }

// Claim implements targets.System. Of reads that a member answers from its own
// copy the documentation says that they may be stale, and no more (learning/API
// guarantees, and the field serializable of a range request). Without fsync it
// warns of lost data (configuration flags, unsafe).
func (s *system) Claim() string {
	if s.Spec.Levels[levelRead] == readSerializable || s.Spec.Levels[levelSync] == syncNever {
		return ""
	}
	return "linearizable"
}

// Isolation implements targets.Isolation: "etcd ensures durability and strict
// serializability for all KV API calls" (learning/API guarantees). Reads of a
// member's own copy lose the real-time order and are called serializable, which
// is what is left.
func (s *system) Isolation() string {
	switch {
	case s.Spec.Levels[levelSync] == syncNever:
		return ""
	case s.Spec.Levels[levelRead] == readSerializable:
		return "serializable"
	}
	return "strict-serializable"
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, clientPort)
	if err != nil {
		return nil
	}
	return []string{"http://" + addr}
}
