// Package etcd runs etcd: the old 3.4 and the current 3.7, on one to seven
// members.
package etcd

import (
	"os"

	"github.com/capstan-dev/capstan/targets"
)

// Target is etcd.
type Target struct{}

var _ targets.Target = Target{}

// Name implements targets.Target.
func (Target) Name() string { return "etcd" }

// Doc implements targets.Target.
func (Target) Doc() string { return "etcd, a replicated key-value store on Raft, in Docker" }

// The names of levels and their values.
const (
	levelRead    = "read"
	levelFencing = "fencing"
	levelSync    = "fsync"

	readSerializable = "serializable"
	fencingToken     = "token"
	syncNever        = "unsafe-never"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	faults := append(targets.NetworkFaults(), targets.ContainerFaults()...)
	faults = append(faults, "remove", "replace", "transfer", "upgrade")
	top := targets.Topology{
		Nodes: 3, Min: 1, Max: 7, Faults: faults, Conn: (*Conn)(nil),
		Levels: []targets.Level{
			{
				Name: levelRead, Doc: "linearizable: a read asks a quorum; serializable: the member answers from its own copy",
				Values: []string{"linearizable", readSerializable},
			},
			{
				Name: levelFencing, Doc: "whether what a lock protects is read and written with the lock's creation revision as a fencing token",
				Values: []string{"none", fencingToken},
			},
			{
				Name: levelSync, Doc: "always: a member syncs its log before it acknowledges; unsafe-never: --unsafe-no-fsync",
				Values: []string{"always", syncNever},
			},
		},
	}
	current, old := top, top
	current.Name, current.Doc = "v3.7", "etcd 3.7, with pre-vote: a member that comes back does not depose the leader"
	old.Name, old.Doc = "v3.4", "etcd 3.4, without pre-vote"
	return []targets.Topology{current, old}
}

// officialImage is taken if the user names it: etcd's own images lie with
// registries of others, and which one is for the user to say.
func officialImage() string { return os.Getenv("CAPSTAN_ETCD_IMAGE") }
