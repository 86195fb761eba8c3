// Package riak runs Riak KV: nodes of a ring that all take reads and writes, for
// each of which a client says how many replicas are to answer. It is spoken to
// by HTTP.
package riak

import (
	"cmp"
	"os"

	"github.com/capstan-dev/capstan/targets"
)

// Target is Riak KV.
type Target struct{}

var _ targets.Target = Target{}

// Name implements targets.Target.
func (Target) Name() string { return "riak" }

// Doc implements targets.Target.
func (Target) Doc() string {
	return "Riak KV, a ring of replicas, in Docker; there are no packages of it, only an image"
}

// The names of levels and their values.
const (
	levelResolve  = "resolve"
	levelReplicas = "n_val"
	levelR        = "r"
	levelW        = "w"
	levelPR       = "pr"
	levelPW       = "pw"
	levelDW       = "dw"

	resolveSiblings = "siblings"
	resolveLWW      = "lww"
	resolveCRDT     = "crdt"
	resolveStrong   = "strong"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	return []targets.Topology{{
		Name: "cluster", Doc: "nodes that are all alike, each with some of the replicas",
		Nodes: 5, Min: 3, Max: 5, Conn: (*Conn)(nil),
		Faults: append(targets.NetworkFaults(), targets.ContainerFaults()...),
		Levels: []targets.Level{
			{
				Name: levelResolve, Doc: "what comes of writes that know nothing of each other. siblings: all are kept, and clients merge them " +
					"(a register's and a counter's greatest value, a set's union); lww: the one with the last timestamp stays; " +
					"crdt: Riak's data types; strong: there are none, by an ensemble's consensus (experimental)",
				Values: []string{resolveSiblings, resolveLWW, resolveCRDT, resolveStrong},
			},
			{Name: levelReplicas, Doc: "replicas of a key", Values: []string{"3", "1", "2", "5"}},
			quorum(levelR, "how many replicas answer a read", "quorum", "one", "all", "1", "2", "3"),
			quorum(levelW, "how many replicas answer a write", "quorum", "one", "all", "1", "2", "3"),
			quorum(levelDW, "how many of them have the write on disk", "quorum", "one", "all", "0", "1", "2", "3"),
			quorum(levelPR, "how many of the key's own nodes are up for a read; others stand in for the rest", "0", "quorum", "one", "all", "1", "2", "3"),
			quorum(levelPW, "how many of the key's own nodes are up for a write; others stand in for the rest", "0", "quorum", "one", "all", "1", "2", "3"),
		},
	}}
}

// quorum is a level whose default is Riak's own.
func quorum(name, doc string, values ...string) targets.Level {
	return targets.Level{Name: name, Doc: doc + "; consensus has quorums of its own", Values: values}
}

// officialImage is the only one.
func officialImage() string {
	return cmp.Or(os.Getenv("CAPSTAN_RIAK_IMAGE"), "basho/riak-kv:latest")
}
