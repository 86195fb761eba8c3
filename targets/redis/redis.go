// Package redis runs Redis: alone, replicated under Sentinel, as Redis Cluster,
// and as the independent servers of the Redlock algorithm.
package redis

import (
	"cmp"
	"os"

	"github.com/capstan-dev/capstan/targets"
)

// Target is Redis.
type Target struct{}

var _ targets.Target = Target{}

// Name implements targets.Target.
func (Target) Name() string { return "redis" }

// Doc implements targets.Target.
func (Target) Doc() string { return "Redis, a data structure store, in Docker" }

// The names of topologies, of levels and of their values.
const (
	single   = "single"
	sentinel = "sentinel"
	sharded  = "cluster"
	redlock  = "redlock"

	levelRead    = "read"
	levelWait    = "wait"
	levelMin     = "min-replicas-to-write"
	levelSync    = "appendfsync"
	levelAOF     = "appendonly"
	levelFencing = "fencing"

	readReplica  = "replica"
	fencingToken = "token"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	alone := append(targets.ContainerFaults(), "upgrade")
	several := append(targets.NetworkFaults(), alone...)
	failover := append([]string{"transfer"}, several...)
	return []targets.Topology{
		{
			Name: sentinel, Doc: "a primary and replicas that follow behind, and three sentinels s1 to s3 that fail over",
			Nodes: 3, Min: 2, Max: 5, Faults: failover, Conn: (*Conn)(nil),
			Levels: []targets.Level{reads(), waits("0", "1", "2"), minReplicas(), fsync(), fencing()},
		},
		{
			Name: sharded, Doc: "Redis Cluster of three shards of two; by a hash tag all keys are in the shard of n1 and n4, which clients connect to, the others vote",
			Nodes: 6, Min: 6, Max: 6, Faults: failover, Conn: (*Conn)(nil),
			Levels: []targets.Level{reads(), waits("0", "1"), minReplicas(), fsync(), fencing()},
		},
		{
			Name: single, Doc: "one server",
			Nodes: 1, Min: 1, Max: 1, Faults: alone, Conn: (*Conn)(nil),
			Levels: []targets.Level{fsync(), fencing()},
		},
		{
			Name: redlock, Doc: "independent servers whose majority is a lock, and node store, another one, which has what the locks protect; each client speaks to all",
			Nodes: 5, Min: 3, Max: 7, Faults: several, Conn: (*Redlock)(nil),
			Levels: []targets.Level{
				{Name: levelAOF, Doc: "whether the lock servers keep a log on disk; without, one that restarts has forgotten who holds what", Values: []string{"yes", "no"}},
				fsync(), fencing(),
			},
		},
	}
}

func reads() targets.Level {
	return targets.Level{
		Name: levelRead, Doc: "primary: a replica refuses reads; replica: every node answers from its own copy",
		Values: []string{"primary", readReplica},
	}
}

func waits(values ...string) targets.Level {
	return targets.Level{
		Name: levelWait, Doc: "how many replicas a write waits for, by WAIT; fewer in half a second leave the outcome unknown",
		Values: values,
	}
}

func minReplicas() targets.Level {
	return targets.Level{
		Name: levelMin, Doc: "a primary refuses writes when fewer replicas than that were heard of in the last 2 s",
		Values: []string{"0", "1"},
	}
}

func fsync() targets.Level {
	return targets.Level{
		Name: levelSync, Doc: "when the log is synced to disk: every second, before each answer, or when the kernel likes",
		Values: []string{"everysec", "always", "no"},
	}
}

func fencing() targets.Level {
	return targets.Level{
		Name: levelFencing, Doc: "whether what a lock protects is read and written with a fencing token",
		Values: []string{"none", fencingToken},
	}
}

// officialImage is taken where there is a registry.
func officialImage() string {
	return cmp.Or(os.Getenv("CAPSTAN_REDIS_IMAGE"), "redis:7")
}
