// Package postgres runs PostgreSQL: alone, or a primary with two streaming
// standbys, asynchronous or synchronous, or under Patroni. Only Patroni fails
// over by itself; elsewhere the primary is n1 until an operator, the fault
// transfer, promotes another one.
package postgres

import (
	"os"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/tables"
)

// Target is PostgreSQL.
type Target struct{}

var _ targets.Target = Target{}

// Name implements targets.Target.
func (Target) Name() string { return "postgres" }

// Doc implements targets.Target.
func (Target) Doc() string { return "PostgreSQL with streaming replication, in Docker" }

// The names of levels and their values.
const (
	levelRead      = "read"
	levelCommit    = "synchronous_commit"
	levelIsolation = "isolation"
	levelStandbys  = "synchronous_standby_names"

	readPrimary = "primary"
	readReplica = "replica"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	faults := append(targets.NetworkFaults(), targets.ContainerFaults()...)
	faults = append(faults, "remove", "replace", "upgrade", "transfer")
	return []targets.Topology{
		{
			Name: "async", Doc: "a primary and streaming standbys that follow behind",
			Nodes: 3, Min: 2, Max: 8, Faults: faults, Conn: (*Conn)(nil),
			Levels: levels(reads(readPrimary, readReplica), commit()),
		},
		{
			Name: "sync", Doc: "a primary that waits for its streaming standbys at each commit",
			Nodes: 3, Min: 2, Max: 8, Faults: faults, Conn: (*Conn)(nil),
			Levels: levels(reads(readPrimary, readReplica), commit(), standbys()),
		},
		patroniTopology(),
		{
			Name: "single", Doc: "one node",
			Nodes: 1, Min: 1, Max: 1, Faults: append(targets.ContainerFaults(), "upgrade"), Conn: (*Conn)(nil),
			Levels: levels(reads(readPrimary), commit()),
		},
	}
}

// levels are those of one topology, and those of transactions.
func levels(own ...targets.Level) []targets.Level {
	return append(append(own, isolation()), tables.Levels()...)
}

func reads(values ...string) targets.Level {
	return targets.Level{
		Name: levelRead, Doc: "primary: a standby refuses reads; replica: every node answers from its own copy",
		Values: values,
	}
}

func commit() targets.Level {
	return targets.Level{
		Name: levelCommit, Doc: "how far a commit has come when it is acknowledged; without synchronous standbys all but off mean on",
		Values: []string{"on", "off", "local", "remote_write", "remote_apply"},
	}
}

func standbys() targets.Level {
	return targets.Level{
		Name: levelStandbys, Doc: "which standbys a commit waits for",
		Values: []string{"any-1", "first-1", "all"},
	}
}

// isolation is PostgreSQL's own default first: every statement of ours is a
// transaction on one row, which is atomic at each of these levels.
func isolation() targets.Level {
	return targets.Level{
		Name: levelIsolation, Doc: "the transactions' isolation level; a standby reads at most at repeatable-read",
		Values: []string{"read-committed", "repeatable-read", "serializable"},
	}
}

// officialImage is taken where there is a registry.
func officialImage() string {
	if ref := os.Getenv("CAPSTAN_POSTGRES_IMAGE"); ref != "" {
		return ref
	}
	return "postgres:17"
}
