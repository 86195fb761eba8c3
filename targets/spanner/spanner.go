// Package spanner runs the emulator of Google Cloud Spanner, or takes an instance
// that is there. It speaks by the protocol's own stubs: the client library
// retries what was aborted.
package spanner

import (
	"fmt"
	"os"
	"time"

	"github.com/capstan-dev/capstan/targets"
)

// Target is Spanner.
type Target struct{}

var _ targets.Target = Target{}

// Name implements targets.Target.
func (Target) Name() string { return "spanner" }

// Doc implements targets.Target.
func (Target) Doc() string {
	return "Google Cloud Spanner: its emulator in Docker, or an instance of yours"
}

// The names of levels and their values.
const (
	levelRead      = "read"
	levelStaleness = "staleness"
	levelAbort     = "abort_current_transaction_probability"

	readStrong  = "strong"
	readBounded = "bounded-staleness"
	readExact   = "exact-staleness"
)

// The names of topologies.
const (
	emulator = "emulator"
	outside  = "external"
)

// Topologies implements targets.Target.
func (Target) Topologies() []targets.Topology {
	return []targets.Topology{{
		Name: emulator,
		Doc: "the emulator, one process that runs one read-write transaction at a time; " +
			"it has its data in memory and loses them when it ends, so that it is never killed",
		Nodes: 1, Min: 1, Max: 1, Conn: (*Conn)(nil), Faults: emulatorFaults(), Levels: append(levels(), abort()),
	}, {
		Name: outside,
		Doc: "an instance of Google's, as projects/P/instances/I, with the credentials that its tools find; " +
			"or an emulator that somebody else runs, as host:port",
		Nodes: 1, Min: 1, Max: 1, Conn: (*Conn)(nil), Faults: []string{"clients"}, Levels: levels(), External: true,
	}}
}

// emulatorFaults are those that leave the process alive, and with it the data.
// It has no disk, and nothing to promise of clocks: it is its only one.
func emulatorFaults() []string {
	return []string{"clients", "delay", "loss", "duplicate", "reorder", "corrupt", "rate", "pause", "suspend", "cpu"}
}

func levels() []targets.Level {
	return []targets.Level{
		{
			Name: levelRead, Doc: "the timestamp bound of reads and of transactions that only read; those that write read with locks, what is current",
			Values: []string{readStrong, readBounded, readExact},
		},
		{
			Name: levelStaleness, Doc: "how old a read is (exact-staleness), or may be (bounded-staleness), up to an hour: 1s, 500ms",
			Default: "1s",
		},
	}
}

// abort is never 0: what a client that is gone has begun would be there forever.
func abort() targets.Level {
	return targets.Level{
		Name: levelAbort, Doc: "how often in a hundred a new read-write transaction ends the one that is running, and not itself",
		Values: []string{"20", "50", "80", "100"},
	}
}

// mostStale is how long Spanner keeps old versions, unless it is told otherwise.
const mostStale = time.Hour

func staleness(levels map[string]string) (time.Duration, error) {
	d, err := time.ParseDuration(levels[levelStaleness])
	if err == nil && (d < 0 || d >= mostStale) {
		err = fmt.Errorf("%v is not between 0 and %v", d, mostStale)
	}
	if err != nil {
		return 0, fmt.Errorf("level %s: %w", levelStaleness, err)
	}
	return d, nil
}

// officialImage is taken if the user names it: the emulator's lies with Google's
// own registry.
func officialImage() string { return os.Getenv("CAPSTAN_SPANNER_IMAGE") }
