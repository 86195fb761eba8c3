package postgres

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const port = 5432

//go:embed image
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

func image() docker.Image {
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("postgres: embedded image files: " + err.Error())
	}
	return docker.Image{Ref: officialImage(), Name: "capstan-postgres", Files: files}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s := &system{}
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{"postgres": image()},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(spec, images["postgres"]) },
		Memory: memory, CPUs: cpus, Now: s.now,
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

// A node is small: several share a machine.
const (
	memory = 1 << 30
	cpus   = 2
)

type system struct{ *deploy.Deployment }

var _ targets.System = (*system)(nil)

func nodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	primary := nodes[0].Name
	volumes := image.Volumes
	if len(volumes) == 0 {
		volumes = []string{"/var/lib/postgresql/data"}
	}
	durable := ""
	if spec.Disk != "" && spec.Disk != string(docker.DiskPlain) {
		durable = "1"
	}
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "postgres", Image: image.Ref, User: "postgres", Volumes: volumes,
			Env:        []string{"NODE=" + nodes[i].Name, "PRIMARY=" + primary, "DURABLE=" + durable},
			StopSignal: "SIGINT", // the fast shutdown, which does not wait for clients
			Entrypoint: []string{"/capstan-entry.sh"},
			Cmd:        settings(spec, nodes),
			Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry}},
			ShmSize:    256 << 20,
		}
	}
	return nodes
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
	if names := standbyNames(spec.Levels[levelStandbys], nodes[1:]); names != "" {
		set = append(set, "synchronous_standby_names="+names)
	}
	var args []string
	for _, p := range set {
		args = append(args, "-c", p)
	}
	return args
}

// standbyNames is the value of synchronous_standby_names; empty where the
// topology is not synchronous.
func standbyNames(level string, standbys []docker.NodeSpec) string {
	var names []string
	for _, n := range standbys {
		names = append(names, n.Name)
	}
	list := "(" + strings.Join(names, ", ") + ")"
	switch level {
	case "any-1":
		return "ANY 1 " + list
	case "first-1":
		return "FIRST 1 " + list
	case "all":
		return fmt.Sprintf("FIRST %d %s", len(names), list)
	}
	return ""
}

// Claim implements targets.System. The primary is a single copy, and every
// commit that it acknowledged survives its crash, except with
// synchronous_commit=off. Of standbys PostgreSQL promises only that they
// follow.
func (s *system) Claim() string {
	if s.Spec.Levels[levelCommit] == "off" || s.Spec.Levels[levelRead] == readReplica {
		return ""
	}
	return "linearizable"
}
