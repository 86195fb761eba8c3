package mysql

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const port = 3306

//go:embed image
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

//go:embed users.sql
var users []byte

func imageFolder() fs.FS {
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("mysql: embedded image files: " + err.Error())
	}
	return files
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{ofMariaDB().image, ofMySQL().image} }

// A node is small: several share a machine.
const (
	memory = 1 << 30
	cpus   = 2
)

type system struct {
	*deploy.Deployment
	dialect dialect

	mu sync.Mutex
	// role is whom the operator made primary, handed whether it was another one
	// before: what the others have and the primary has not is given up then.
	role   string
	handed bool
	forced bool // a primary was made while the old one could not send what it had
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
	s := &system{dialect: dialectOf(spec.Levels[levelServer]), role: "n1"}
	name := dialectName(spec)
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{name: s.dialect.image},
		Nodes:  func(images map[string]docker.ImageFacts) []docker.NodeSpec { return s.nodes(spec, images[name].Ref) },
		Memory: memory, CPUs: cpus, Now: s.now,
	})
	if d == nil {
		return nil, err
	}
	s.Deployment = d
	if err == nil {
		s.Cluster().Members = s.members()
		s.Cluster().Primaries = s.primaries
		if spec.Topology == galera {
			s.Cluster().Primaries = nil
			s.Cluster().Why["Primaries"] = "in a Galera cluster every node takes writes"
		}
	}
	return s, err
}

func dialectName(spec targets.Spec) string {
	if spec.Levels[levelServer] == mySQL {
		return mySQL
	}
	return mariaDB
}

func (s *system) server() string { return dialectName(s.Spec) }

// primary is whom the operator made primary last.
func (s *system) primary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role
}

// moved is true once the role was handed over.
func (s *system) moved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.handed
}

// roleFile names the primary for the entry script.
func roleFile(primary string) docker.File {
	return docker.File{Path: "/capstan-primary", Mode: 0o644, Content: []byte(primary + "\n")}
}

func (s *system) nodes(spec targets.Spec, image string) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	var names []string
	for _, n := range nodes {
		names = append(names, n.Name)
	}
	env := []string{}
	if spec.Topology == galera {
		env = append(env, "NODES="+strings.Join(names, ","))
	}
	primary, replica := s.roles(spec)
	env = append(env, "PRIMARY_ARGS="+strings.Join(primary, " "), "REPLICA_ARGS="+strings.Join(replica, " "))
	for i := range nodes {
		nodes[i].Ports = []int{port}
		nodes[i].Server = &docker.Server{
			Name: dialectName(spec), Image: image, User: "mysql", Volumes: []string{"/var/lib/mysql"},
			Env:        append([]string{"NODE=" + nodes[i].Name}, env...),
			Entrypoint: []string{"/capstan-entry.sh"},
			Cmd:        append(s.settings(spec), "--report-host="+nodes[i].Name),
			Files: []docker.File{
				{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry},
				{Path: "/capstan-users.sql", Mode: 0o644, Content: users},
				roleFile(nodes[0].Name),
			},
		}
		if spec.Topology == galera {
			nodes[i].Server.Cmd = append(nodes[i].Server.Cmd, galeraSettings(spec, nodes[i].Name)...)
		}
	}
	return nodes
}

// roles are the options that the primary has, and all others.
func (s *system) roles(spec targets.Spec) (primary, replica []string) {
	primary, replica = []string{"--read-only=0"}, []string{"--read-only=1"}
	if spec.Topology == semisync {
		primary = append(primary, s.dialect.semiPrimaryArg)
	}
	return primary, replica
}

// settings are the servers' options. All nodes have the same, so that each could
// be the primary.
func (s *system) settings(spec targets.Spec) []string {
	set := []string{
		"--socket=/tmp/mysql.sock", "--pid-file=/tmp/mysqld.pid", "--bind-address=0.0.0.0", fmt.Sprintf("--port=%d", port),
		"--skip-name-resolve", "--character-set-server=utf8mb4", "--max-connections=300",
		"--innodb-buffer-pool-size=64M", "--performance-schema=OFF", "--binlog-format=ROW",
		// Transactions that wait for each other are told before clients give up
		// for good; a deadlock is found at once.
		"--innodb-lock-wait-timeout=2",
		"--innodb-flush-log-at-trx-commit=" + spec.Levels[levelFlush],
	}
	set = append(set, s.dialect.settings...)
	switch spec.Topology {
	case async:
		set = append(set, s.dialect.replication...)
	case semisync:
		millis := map[string]string{"10s": "10000", "1s": "1000", "never": "4294967295"}[spec.Levels[levelTimeout]]
		point := strings.ToUpper(strings.ReplaceAll(spec.Levels[levelWait], "-", "_"))
		set = append(set, s.dialect.replication...)
		set = append(set, s.dialect.semi(point, millis)...)
	}
	return set
}

// galeraSettings are those of one node of a Galera cluster.
func galeraSettings(spec targets.Spec, node string) []string {
	provider := "gcache.size=32M"
	if spec.Levels[levelEviction] == "fast" {
		provider += ";evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.25S" +
			";evs.suspect_timeout=PT1.5S;evs.inactive_timeout=PT3S;evs.install_timeout=PT3S"
	}
	return []string{
		"--default-storage-engine=InnoDB", "--innodb-autoinc-lock-mode=2",
		"--wsrep-on=ON", "--wsrep-provider=/usr/lib/galera/libgalera_smm.so", "--wsrep-cluster-name=capstan",
		"--wsrep-node-name=" + node, "--wsrep-slave-threads=2",
		"--wsrep-sync-wait=" + spec.Levels[levelSyncWait], "--wsrep-provider-options=" + provider,
	}
}
