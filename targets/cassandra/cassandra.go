// Package cassandra runs Apache Cassandra: a ring of nodes without a leader,
// each of which takes requests and asks as many replicas as the request's
// consistency level says, in one datacenter or in two.
package cassandra

import (
	"cmp"
	"os"

	"github.com/capstan-dev/capstan/targets"
)

// Target is Cassandra.
type Target struct{}

var (
	_ targets.Target = Target{}
	_ targets.Images = Target{}
)

// Name implements targets.Target.
func (Target) Name() string { return "cassandra" }

// Doc implements targets.Target.
func (Target) Doc() string {
	return "Apache Cassandra 5, leaderless with tunable consistency, in Docker"
}

// The names of levels and those of their values that code asks for.
const (
	levelRead       = "read"
	levelWrite      = "write"
	levelCAS        = "cas"
	levelTimestamps = "timestamps"
	levelSet        = "set"
	levelHints      = "hinted_handoff"
	levelRepair     = "read_repair"
	levelPaxos      = "paxos"
	levelCommitlog  = "commitlog_sync"

	serial      = "SERIAL"
	localSerial = "LOCAL_SERIAL"

	casRefused = "refused"
	casClient  = "rmw"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	faults := append(targets.NetworkFaults(), targets.ContainerFaults()...)
	faults = append(faults, "upgrade")
	topology := func(name, doc string, nodes, least, most int) targets.Topology {
		return targets.Topology{
			Name: name, Doc: doc, Nodes: nodes, Min: least, Max: most,
			Faults: faults, Conn: (*Conn)(nil), Levels: levels(),
		}
	}
	return []targets.Topology{
		topology("rf3", "three nodes that all hold everything", 3, 3, 3),
		topology("five", "a ring in which three of the nodes hold each row", 5, 4, 8),
		topology("dcs", "two datacenters of up to three replicas each; the first half of the nodes is dc1", 6, 2, 8),
	}
}

// levels are the knobs of all topologies. By default registers are read and
// written by lightweight transactions alone: the one way in which Cassandra
// promises them to be linearizable, and the only one that has a compare-and-set.
func levels() []targets.Level {
	return []targets.Level{
		{Name: levelRead, Doc: "consistency level of reads; the serial ones read registers and lists by Paxos, and all else at QUORUM or LOCAL_QUORUM",
			Values: []string{serial, localSerial, "ONE", "TWO", "QUORUM", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"}},
		{Name: levelWrite, Doc: "consistency level of writes; the serial ones write registers and lists by lightweight transactions, and all else at QUORUM or LOCAL_QUORUM",
			Values: []string{serial, localSerial, "ANY", "ONE", "TWO", "QUORUM", "LOCAL_ONE", "LOCAL_QUORUM", "EACH_QUORUM", "ALL"}},
		{Name: levelCAS, Doc: "a compare-and-set where write is not serial: refused, as plain writes have no condition; rmw: the client reads, compares and writes back, the last writer wins; lwt: a lightweight transaction among plain writes",
			Values: []string{casRefused, casClient, "lwt"}},
		{Name: levelTimestamps, Doc: "whose clock orders plain writes: the client's or that of the node that takes the request",
			Values: []string{"client", "server"}},
		{Name: levelSet, Doc: "a set is a column of a collection type, or a row for each element",
			Values: []string{"rows", "collection"}},
		{Name: levelHints, Doc: "whether nodes keep writes for replicas that are down", Values: []string{"on", "off"}},
		{Name: levelRepair, Doc: "whether a read that finds replicas differ repairs them before it answers", Values: []string{"blocking", "none"}},
		{Name: levelPaxos, Doc: "the variant of Paxos of lightweight transactions", Values: []string{"v1", "v2"}},
		{Name: levelCommitlog, Doc: "when a node acknowledges a write: before (periodic) or after (batch) its commit log is on the disk", Values: []string{"periodic", "batch"}},
	}
}

// officialImage is taken where there is a registry.
func officialImage() string { return cmp.Or(os.Getenv("CAPSTAN_CASSANDRA_IMAGE"), "cassandra:5.0") }
