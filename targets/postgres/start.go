package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
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

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	topology, ok := t.topology(spec.Topology)
	if !ok {
		return nil, fmt.Errorf("postgres has no topology %q", spec.Topology)
	}
	if spec.Nodes < topology.Min || spec.Nodes > topology.Max {
		return nil, fmt.Errorf("postgres/%s with %d nodes, want %d to %d", topology.Name, spec.Nodes, topology.Min, topology.Max)
	}
	log := spec.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	engine, err := docker.Connect(ctx, log)
	if err != nil {
		return nil, err
	}
	s := &system{spec: spec, log: log, engine: engine, versions: map[string]string{}, removed: map[string]bool{}}
	if err := s.start(ctx); err != nil {
		if s.docker == nil {
			return nil, errors.Join(err, engine.Close())
		}
		return s, err
	}
	return s, nil
}

type system struct {
	spec     targets.Spec
	log      *slog.Logger
	engine   *docker.Engine
	docker   *docker.Cluster
	cluster  *cluster.Cluster
	versions map[string]string
	version  atomic.Pointer[string] // of the server

	mu      sync.Mutex
	removed map[string]bool // nodes that were taken out of the system
}

var _ targets.System = (*system)(nil)

func (s *system) start(ctx context.Context) error {
	img, err := s.engine.EnsureImage(ctx, image())
	if err != nil {
		return err
	}
	facts, err := s.engine.Facts(ctx)
	if err != nil {
		return err
	}
	maps.Copy(s.versions, map[string]string{
		"image": img.Ref, "image-id": img.ID, "engine": facts.Version, "kernel": facts.Kernel,
	})
	if img.Digest != "" {
		s.versions["image-digest"] = img.Digest
	}
	s.docker, err = s.engine.Start(ctx, docker.Spec{
		RunID: s.spec.RunID, Nodes: s.nodes(img), Keep: s.spec.Keep,
		Disk: docker.DiskBacking(s.spec.Disk), Now: s.now,
	})
	if s.docker != nil {
		s.cluster = s.docker.Cluster()
		s.cluster.Primaries = s.primaries
		s.cluster.Members = s.members()
	}
	if err != nil {
		return fmt.Errorf("start postgres/%s: %w", s.spec.Topology, err)
	}
	return nil
}

func (s *system) nodes(image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(s.spec.Nodes)
	primary := nodes[0].Name
	volumes := image.Volumes
	if len(volumes) == 0 {
		volumes = []string{"/var/lib/postgresql/data"}
	}
	durable := ""
	if s.spec.Disk != "" && s.spec.Disk != string(docker.DiskPlain) {
		durable = "1"
	}
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: "postgres", Image: image.Ref, User: "postgres", Volumes: volumes,
			Env:        []string{"NODE=" + nodes[i].Name, "PRIMARY=" + primary, "DURABLE=" + durable},
			StopSignal: "SIGINT", // the fast shutdown, which does not wait for clients
			Entrypoint: []string{"/capstan-entry.sh"},
			Cmd:        s.settings(nodes),
			Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry}},
			ShmSize:    256 << 20,
		}
	}
	return nodes
}

// settings are the servers' parameters. All nodes have the same, so that each
// could be the primary.
func (s *system) settings(nodes []docker.NodeSpec) []string {
	set := []string{
		"wal_level=replica", "max_wal_senders=16", "max_replication_slots=16", "hot_standby=on",
		"max_connections=300", "shared_buffers=32MB", "lc_messages=C",
		// Transactions that wait for each other are told before clients give up.
		"deadlock_timeout=200ms",
		// A cut is noticed, and a healed link used again, within seconds.
		"wal_sender_timeout=5s", "wal_receiver_timeout=5s", "wal_retrieve_retry_interval=500ms",
		"wal_receiver_status_interval=1s", "tcp_user_timeout=5s",
	}
	if names := standbyNames(s.spec.Levels[levelStandbys], nodes[1:]); names != "" {
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

// Cluster implements targets.System.
func (s *system) Cluster() *cluster.Cluster { return s.cluster }

// Versions implements targets.System.
func (s *system) Versions() map[string]string {
	v := maps.Clone(s.versions)
	if server := s.version.Load(); server != nil {
		v["postgres"] = *server
	}
	return v
}

// Logs implements targets.System.
func (s *system) Logs(ctx context.Context, dir string) error { return s.docker.Logs(ctx, dir) }

// Close implements targets.System.
func (s *system) Close(ctx context.Context) error {
	return errors.Join(s.docker.Close(ctx), s.engine.Close())
}

// Claim implements targets.System. The primary is a single copy, and every
// commit that it acknowledged survives its crash, except with
// synchronous_commit=off. Of standbys PostgreSQL promises only that they
// follow.
func (s *system) Claim() string {
	if s.spec.Levels[levelCommit] == "off" || s.spec.Levels[levelRead] == readReplica {
		return ""
	}
	return "linearizable"
}

// names are the nodes that belong to the system, the primary first.
func (s *system) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.cluster.Nodes), func(n string) bool { return s.removed[n] })
}
