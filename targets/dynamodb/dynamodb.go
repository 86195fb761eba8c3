// Package dynamodb runs what speaks Amazon DynamoDB's API: DynamoDB Local, which
// is one process; DynamoDB itself or any other endpoint that somebody else runs;
// and a cluster of ScyllaDB with its Alternator interface.
package dynamodb

import (
	"cmp"
	"os"

	"github.com/capstan-dev/capstan/targets"
)

// Target is DynamoDB's API.
type Target struct{}

var (
	_ targets.Target = Target{}
	_ targets.Images = Target{}
)

// Name implements targets.Target.
func (Target) Name() string { return "dynamodb" }

// Doc implements targets.Target.
func (Target) Doc() string { return "Amazon DynamoDB's API: DynamoDB Local, an endpoint, or ScyllaDB" }

// The names of levels and topologies and those of their values that code asks
// for.
const (
	levelRead  = "read"
	levelSet   = "set"
	levelFence = "fencing"

	strong    = "strong"
	eventual  = "eventual"
	attribute = "attribute"
	off       = "off"

	topologyLocal      = "local"
	topologyExternal   = "external"
	topologyAlternator = "alternator"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	return []targets.Topology{
		{
			Name: topologyLocal, Doc: "DynamoDB Local, one process; the last transactions before a crash may be lost",
			Nodes: 1, Min: 1, Max: 1, Faults: append(targets.ContainerFaults(), "upgrade"), Conn: (*Conn)(nil),
			Levels: levels(),
		},
		{
			Name: topologyExternal, Doc: "an endpoint that somebody else runs, by URL; credentials and region as the AWS SDK finds them; tables are made for the run and deleted after it",
			Nodes: 1, Min: 1, Max: 1, External: true, Faults: []string{"clients"}, Conn: (*Conn)(nil),
			Levels: levels(),
		},
		{
			Name: topologyAlternator, Doc: "ScyllaDB with its Alternator interface, which has no transactions; by its official image only",
			Nodes: 3, Min: 3, Max: 8, Faults: append(targets.NetworkFaults(), targets.ContainerFaults()...), Conn: (*Items)(nil),
			Levels: levels(),
		},
	}
}

func levels() []targets.Level {
	return []targets.Level{
		{Name: levelRead, Doc: "strongly or eventually consistent reads; several items are read in a transaction, or eventually by a plain query",
			Values: []string{strong, eventual}},
		{Name: levelSet, Doc: "a set is an item for each element, or one attribute of a set type", Values: []string{"items", attribute}},
		{Name: levelFence, Doc: "whether locks give fencing tokens", Values: []string{"on", off}},
	}
}

// The official images, taken where there is a registry.
func officialImage() string {
	return cmp.Or(os.Getenv("CAPSTAN_DYNAMODB_IMAGE"), "amazon/dynamodb-local:2.6.1")
}

func scyllaImage() string {
	return cmp.Or(os.Getenv("CAPSTAN_SCYLLA_IMAGE"), "scylladb/scylla:6.2")
}
