package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const port = 5432

//go:embed image patroni
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

// folder is one that was embedded.
func folder(name string) fs.FS {
	files, err := fs.Sub(imageFiles, name)
	if err != nil {
		panic("postgres: embedded image files: " + err.Error())
	}
	return files
}

func image() docker.Image {
	return docker.Image{Ref: officialImage(), Name: "capstan-postgres", Files: folder("image")}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image(), patroniImage()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s := &system{role: "n1"}
	d, err := deploy.Start(ctx, spec, s.config(t.Name(), spec))
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

// config is how the topology runs in containers.
func (s *system) config(target string, spec targets.Spec) deploy.Config {
	c := deploy.Config{Target: target, Memory: memory, CPUs: cpus, Now: s.now}
	img, make := image(), nodes
	if spec.Topology == patroni {
		img, make = patroniImage(), patroniNodes
		c.Roles, c.Serving = patroniRoles(spec)
	}
	c.Images = map[string]docker.Image{"postgres": img}
	c.Nodes = func(images map[string]docker.ImageFacts) []docker.NodeSpec { return make(spec, images["postgres"]) }
	return c
}

// A node is small: several share a machine.
const (
	memory = 1 << 30
	cpus   = 2
)

type system struct {
	*deploy.Deployment

	mu sync.Mutex
	// role is whom the operator made primary; missing is since when nodes were
	// found not to stream from it, nil as long as it is the first one.
	role    string
	missing map[string]time.Time
	// forced: a primary was made while the old one could not send what it had.
	forced bool
}

var _ targets.System = (*system)(nil)

func nodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	durable := ""
	if spec.Disk != "" && spec.Disk != string(docker.DiskPlain) {
		durable = "1"
	}
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "postgres", Image: image.Ref, User: "postgres", Volumes: dataVolumes(image),
			Env:        []string{"NODE=" + nodes[i].Name, "DURABLE=" + durable},
			StopSignal: "SIGINT", // the fast shutdown, which does not wait for clients
			Entrypoint: []string{"/capstan-entry.sh"},
			Cmd:        settings(spec, nodes),
			Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry}, roleFile(nodes[0].Name)},
			ShmSize:    256 << 20,
		}
	}
	return nodes
}

// dataVolumes are where the image has its data.
func dataVolumes(image docker.ImageFacts) []string {
	if len(image.Volumes) > 0 {
		return image.Volumes
	}
	return []string{"/var/lib/postgresql/data"}
}

// settings are the servers' parameters. All nodes have the same, so that each
// could be the primary.
func settings(spec targets.Spec, nodes []docker.NodeSpec) []string {
	set := []string{
		"wal_level=replica", "max_wal_senders=16", "max_replication_slots=16", "hot_standby=on",
		"max_connections=300", "shared_buffers=32MB", "lc_messages=C",
		// Transactions that wait for each other are told before clients give up.
		"deadlock_timeout=200ms",
		// A cut is noticed, and a healed link used again, within seconds.
		"wal_sender_timeout=5s", "wal_receiver_timeout=5s", "wal_retrieve_retry_interval=500ms",
		"wal_receiver_status_interval=1s", "tcp_user_timeout=5s",
	}
	if names := standbyNames(spec.Levels[levelStandbys], nodes); names != "" {
		set = append(set, "synchronous_standby_names="+names)
	}
	var args []string
	for _, p := range set {
		args = append(args, "-c", p)
	}
	return args
}

// standbyNames is the value of synchronous_standby_names; empty where the
// topology is not synchronous. It names all nodes, as each could be the primary;
// none is its own standby.
func standbyNames(level string, nodes []docker.NodeSpec) string {
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	list := "(" + strings.Join(names, ", ") + ")"
	switch level {
	case "any-1":
		return "ANY 1 " + list
	case "first-1":
		return "FIRST 1 " + list
	case "all":
		return fmt.Sprintf("FIRST %d %s", len(names)-1, list)
	}
	return ""
}

// Claim implements targets.System. The primary is a single copy, and every
// commit that it acknowledged survives its crash, except with
// synchronous_commit=off. That is said of the primary itself, not of a standby
// that is promoted in its place: without synchronous replication it may lack
// what was committed (documentation, 27.2.8), and nothing is claimed any more
// once an operator forced that. Of standbys PostgreSQL promises
// only that they follow. Patroni's documentation ("Replication modes") says that
// its asynchronous mode may lose commits at a failover, and that in synchronous
// mode it promotes no standby that may lack any. Neither speaks of what a commit
// shows whose wait for a standby was cancelled: the primary has it then, and
// whoever reads it there may see what a failover takes away.
func (s *system) Claim() string {
	l := s.Spec.Levels
	switch {
	case s.wasForced(), l[levelCommit] == "off" || l[levelRead] == readReplica:
		return ""
	case s.Spec.Topology == patroni && (l[levelSyncMode] == "off" || l[levelCommit] == "local"):
		return ""
	}
	return "linearizable"
}
