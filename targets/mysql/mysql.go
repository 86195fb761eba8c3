// Package mysql runs MariaDB, and MySQL where its image is to be had: alone, a
// primary with replicas that follow its binary log, asynchronously or
// semi-synchronously, and MariaDB's Galera cluster, in which every node takes
// writes. Replication has no failover by itself: an operator promotes a replica.
package mysql

import (
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/tables"
)

// Target is MariaDB or MySQL.
type Target struct{}

var (
	_ targets.Target = Target{}
	_ targets.Images = Target{}
)

// Name implements targets.Target.
func (Target) Name() string { return "mysql" }

// Doc implements targets.Target.
func (Target) Doc() string { return "MariaDB or MySQL, replicated or as a Galera cluster, in Docker" }

// The names of topologies, of levels and of their values.
const (
	single   = "single"
	async    = "async"
	semisync = "semisync"
	galera   = "galera"

	levelServer    = "server"
	levelIsolation = "isolation"
	levelRead      = "read"
	levelFlush     = "innodb_flush_log_at_trx_commit"
	levelWait      = "wait_point"
	levelTimeout   = "timeout"
	levelSyncWait  = "wsrep_sync_wait"
	levelEviction  = "eviction"

	readPrimary = "primary"
	readReplica = "replica"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	alone := append(targets.ContainerFaults(), "upgrade")
	many := append(targets.NetworkFaults(), targets.ContainerFaults()...)
	many = append(many, "remove", "replace", "upgrade")
	replicated := append(many[:len(many):len(many)], "transfer")
	return []targets.Topology{
		{
			Name: async, Doc: "a primary and replicas that follow its binary log behind",
			Nodes: 3, Min: 2, Max: 6, Faults: replicated, Conn: (*Conn)(nil),
			Levels: levels(server(), reads()),
		},
		{
			Name: semisync, Doc: "a primary that waits until a replica has received each transaction, for a time",
			Nodes: 3, Min: 2, Max: 6, Faults: replicated, Conn: (*Conn)(nil),
			Levels: levels(server(), reads(), waitPoint(), waitTimeout()),
		},
		{
			Name: galera, Doc: "a Galera cluster: every node takes writes, and they agree at each commit",
			Nodes: 3, Min: 3, Max: 7, Faults: many, Conn: (*Conn)(nil),
			Levels: levels(syncWait(), eviction()),
		},
		{
			Name: single, Doc: "one node",
			Nodes: 1, Min: 1, Max: 1, Faults: alone, Conn: (*Conn)(nil),
			Levels: levels(server()),
		},
	}
}

// levels are those of one topology, and those that all have.
func levels(own ...targets.Level) []targets.Level {
	all := append(own,
		targets.Level{
			Name: levelIsolation, Doc: "the transactions' isolation level",
			Values: []string{"repeatable-read", "read-uncommitted", "read-committed", "serializable"},
		},
		targets.Level{
			Name: levelFlush, Doc: "1: a commit is on the disk when it is acknowledged; 2: with the operating system; 0: in memory, and written once a second",
			Values: []string{"1", "0", "2"},
		},
	)
	return append(all, tables.Levels()...)
}

func server() targets.Level {
	return targets.Level{
		Name: levelServer, Doc: "whose server it is; that of MySQL is not built here, and needs its image",
		Values: []string{mariaDB, mySQL},
	}
}

func reads() targets.Level {
	return targets.Level{
		Name: levelRead, Doc: "primary: a replica refuses reads; replica: every node answers from its own copy",
		Values: []string{readPrimary, readReplica},
	}
}

func waitPoint() targets.Level {
	return targets.Level{
		Name: levelWait, Doc: "whether the primary waits for a replica before it commits, so that nobody sees what may be lost, or after",
		Values: []string{"after-sync", "after-commit"},
	}
}

func waitTimeout() targets.Level {
	return targets.Level{
		Name: levelTimeout, Doc: "how long the primary waits for a replica before it goes on without, silently",
		Values: []string{"10s", "1s", "never"},
	}
}

func syncWait() targets.Level {
	return targets.Level{
		Name: levelSyncWait, Doc: "which statements wait until their node has applied what was committed before: 0 none; 1 reads; 3 and updates; 7 and inserts",
		Values: []string{"0", "1", "3", "7"},
	}
}

func eviction() targets.Level {
	return targets.Level{
		Name: levelEviction, Doc: "how soon a node that is silent is put out: Galera's own times, about 5 s, or 1.5 s",
		Values: []string{"default", "fast"},
	}
}
