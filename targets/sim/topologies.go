package sim

import (
	"io"

	world "github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/targets"
)

// topologies lists what ships, the default first.
func topologies() []topology {
	return []topology{asyncTopology(), syncTopology(), raftTopology()}
}

// The connections that Open gives.
func asLog(c *conn) io.Closer { return &logConn{c} }

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
		claim: func(map[string]string) string { return "" },
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
		claim: linearizableUnlessLocal,
		led:   true,
	}
}

// linearizableUnlessLocal is the claim where local reads may be old.
func linearizableUnlessLocal(levels map[string]string) string {
	if levels["read"] == "local" {
		return ""
	}
	return "linearizable"
}
