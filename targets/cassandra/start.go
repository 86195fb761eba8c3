package cassandra

import (
	"context"
	"embed"
	"io/fs"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const port = 9042

//go:embed image
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

//go:embed logback.xml
var logback []byte

func image() docker.Image {
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("cassandra: embedded image files: " + err.Error())
	}
	return docker.Image{Ref: officialImage(), Name: "capstan-cassandra", Files: files, Roots: true}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s := &system{ring: newRing(spec)}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{"cassandra": image()},
		Nodes: func(images map[string]docker.ImageFacts) []docker.NodeSpec {
			return nodes(spec, s.ring, images["cassandra"])
		},
		Roles: s.ring.roles(), Memory: memory, CPUs: cpus, Now: s.now,
	})
	if d == nil {
		return nil, err
	}
	s.Deployment = d
	if err == nil {
		s.Cluster().Members = s.members()
		s.Cluster().Why["Primaries"] = "Cassandra has no leader: every node takes requests"
	}
	return s, err
}

// A node is small: several share a machine. Beside its heap a Java machine
// needs as much again.
const (
	memory = 1400 << 20
	cpus   = 2
	heap   = "448M"
)

type system struct {
	*deploy.Deployment
	ring ring
}

var _ targets.System = (*system)(nil)

func nodes(spec targets.Spec, r ring, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	for i := range nodes {
		name := nodes[i].Name
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "cassandra", Image: image.Ref, User: "cassandra", Volumes: []string{"/var/lib/cassandra"},
			Env:        []string{"HEAP=" + heap},
			Entrypoint: []string{"/capstan/entry.sh"},
			Cmd:        startFlags(),
			Files: []docker.File{
				{Path: "/capstan/entry.sh", Mode: 0o755, Content: entry},
				{Path: "/capstan/logback.xml", Mode: 0o644, Content: logback},
				{Path: "/capstan/cassandra.yaml", Mode: 0o644, Content: r.config(spec.Levels, name)},
				{Path: "/capstan/cassandra-rackdc.properties", Mode: 0o644, Content: r.rack(name)},
			},
		}
	}
	return nodes
}

// startFlags let a cluster that is new come up at once: nobody has data that
// others must hear of first.
func startFlags() []string {
	return []string{
		"-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Dcassandra.ring_delay_ms=2000",
		"-Dcassandra.superuser_setup_delay_ms=0",
	}
}

// Claim implements targets.System. Lightweight transactions are linearizable
// (Cassandra documentation, "Guarantees": lightweight transactions with
// linearizable consistency; "Dynamo": SERIAL). LOCAL_SERIAL promises that
// within one datacenter only. Of plain reads and writes the documentation says
// that a read sees the latest acknowledged write if the replicas that they wait
// for overlap (Dynamo, "Picking Consistency Levels"), which is what a regular
// register does.
func (s *system) Claim() string {
	read, write := s.Spec.Levels[levelRead], s.Spec.Levels[levelWrite]
	switch {
	case s.linearizable():
		return "linearizable"
	case s.Spec.Levels[levelCAS] == casRefused && s.Spec.Levels[levelTimestamps] == "client" && s.ring.overlap(read, write):
		return "regular"
	}
	return ""
}

func (s *system) linearizable() bool {
	read, write := s.Spec.Levels[levelRead], s.Spec.Levels[levelWrite]
	return read == serial && write == serial ||
		len(s.ring.dcs) == 1 && isSerial(read) && isSerial(write)
}
