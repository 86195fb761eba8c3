package sim

import (
	"io"

	world "github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/targets"
)

// topologies lists what ships, the default first.
func topologies() []topology {
	return []topology{asyncTopology(), syncTopology(), raftTopology(), quorumTopology(), lwwTopology(), crdtTopology()}
}

// The connections that Open gives.
func asLog(c *conn) io.Closer  { return &logConn{c} }
func asCell(c *conn) io.Closer { return &cellConn{c} }
func asCRDT(c *conn) io.Closer { return &crdtConn{c} }

func readLevel(def, other, doc string) targets.Level {
	return targets.Level{Name: "read", Doc: doc, Values: []string{def, other}}
}

func asyncTopology() topology {
	return topology{
		name:    "async",
		doc:     "primary and backups, asynchronous replication, failover by majority: acknowledged writes can be lost",
		nodes:   defaultNodes,
		min:     3,
		levels:  []targets.Level{readLevel("primary", "local", "who answers reads: the believed primary, or the client's node")},
		conn:    (*logConn)(nil),
		connect: asLog,
		boot: func(levels map[string]string) world.Boot {
			return bootReplica(backupConfig{localRead: levels["read"] == "local", bug: levels["bug"]})
		},
		claim: noClaim,
		led:   true,
	}
}

func syncTopology() topology {
	return topology{
		name:    "sync",
		doc:     "primary and backups, a majority has each write before it is acknowledged, the primary confirms reads",
		nodes:   defaultNodes,
		min:     3,
		levels:  []targets.Level{readLevel("primary", "local", "who answers reads: the primary, or the client's node from what it has")},
		conn:    (*logConn)(nil),
		connect: asLog,
		boot: func(levels map[string]string) world.Boot {
			return bootReplica(backupConfig{sync: true, localRead: levels["read"] == "local", bug: levels["bug"]})
		},
		claim: linearizableUnlessLocal,
		led:   true,
	}
}

func raftTopology() topology {
	return topology{
		name:    "raft",
		doc:     "go.etcd.io/raft: a leader, a log on a majority of disks, reads by ReadIndex",
		nodes:   defaultNodes,
		min:     3,
		levels:  []targets.Level{readLevel("linearizable", "local", "confirmed by the leader and a majority, or from what the client's node has")},
		conn:    (*logConn)(nil),
		connect: asLog,
		boot: func(levels map[string]string) world.Boot {
			return bootRaft(raftConfig{localRead: levels["read"] == "local", bug: levels["bug"]})
		},
		claim:     linearizableUnlessLocal,
		led:       true,
		transfers: true,
	}
}

func quorumTopology() topology {
	ask := func(name, doc string) targets.Level {
		return targets.Level{Name: name, Doc: doc, Values: []string{"quorum", "one", "all"}}
	}
	return topology{
		name:  "quorum",
		doc:   "every node coordinates: writes to w replicas, the newest of r, by the nodes' clocks, with read repair; not linearizable",
		nodes: defaultNodes,
		min:   3,
		levels: []targets.Level{
			ask("r", "how many of up to 5 replicas answer a read"),
			ask("w", "how many of up to 5 replicas acknowledge a write"),
		},
		conn:    (*cellConn)(nil),
		connect: asCell,
		boot: func(levels map[string]string) world.Boot {
			return bootQuorum(quorumConfig{r: levels["r"], w: levels["w"], bug: levels["bug"]})
		},
		claim: regularIfQuorumsMeet,
	}
}

func lwwTopology() topology {
	return topology{
		name:    "lww",
		doc:     "every node answers by itself and gossips; the last write wins by the nodes' clocks: acknowledged writes are lost",
		nodes:   defaultNodes,
		min:     1,
		conn:    (*cellConn)(nil),
		connect: asCell,
		boot:    func(levels map[string]string) world.Boot { return bootLWW(levels["bug"]) },
		claim:   noClaim,
	}
}

func crdtTopology() topology {
	return topology{
		name:    "crdt",
		doc:     "every node answers by itself and gossips a counter and a set that merge without conflict: nothing is lost, reads are old",
		nodes:   defaultNodes,
		min:     1,
		conn:    (*crdtConn)(nil),
		connect: asCRDT,
		boot:    func(levels map[string]string) world.Boot { return bootCRDT(levels["bug"]) },
		claim:   noClaim,
	}
}

func noClaim(map[string]string) string { return "" }

// regularIfQuorumsMeet is the claim of R + W > N: a read meets every
// acknowledged write, though concurrent ones may come and go.
func regularIfQuorumsMeet(levels map[string]string) string {
	if levels["r"] == "all" || levels["w"] == "all" || levels["r"] == "quorum" && levels["w"] == "quorum" {
		return "regular"
	}
	return ""
}

// linearizableUnlessLocal is the claim where local reads may be old.
func linearizableUnlessLocal(levels map[string]string) string {
	if levels["read"] == "local" {
		return ""
	}
	return "linearizable"
}
