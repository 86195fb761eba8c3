package cassandra_test

import (
	"slices"
	"testing"

	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/cassandra"
)

func spec(topology string, nodes int) targets.Spec {
	return targets.Spec{Topology: topology, Nodes: nodes}
}

func TestOverlap(t *testing.T) {
	for _, tt := range []struct {
		topology    string
		nodes       int
		read, write string
		want        bool
	}{
		{"rf3", 3, "QUORUM", "QUORUM", true},
		{"rf3", 3, "ONE", "ONE", false},
		{"rf3", 3, "ONE", "QUORUM", false},
		{"rf3", 3, "ONE", "ALL", true},
		{"rf3", 3, "ALL", "ONE", true},
		{"rf3", 3, "ALL", "ANY", false},
		{"rf3", 3, "TWO", "TWO", true},
		{"rf3", 3, "LOCAL_QUORUM", "LOCAL_QUORUM", true},
		{"rf3", 3, "EACH_QUORUM", "QUORUM", true},
		{"rf3", 3, "SERIAL", "QUORUM", true},
		{"five", 5, "QUORUM", "QUORUM", true},
		{"dcs", 6, "QUORUM", "QUORUM", true},
		{"dcs", 6, "LOCAL_QUORUM", "LOCAL_QUORUM", false},
		{"dcs", 6, "LOCAL_QUORUM", "EACH_QUORUM", true},
		{"dcs", 6, "EACH_QUORUM", "LOCAL_QUORUM", true},
		{"dcs", 6, "LOCAL_SERIAL", "LOCAL_SERIAL", false},
		{"dcs", 6, "LOCAL_ONE", "EACH_QUORUM", false},
		{"dcs", 6, "LOCAL_ONE", "ALL", true},
		{"dcs", 6, "ONE", "ALL", true},
		{"dcs", 4, "QUORUM", "QUORUM", true},
		{"dcs", 4, "LOCAL_QUORUM", "LOCAL_QUORUM", false},
	} {
		if got := cassandra.Overlap(spec(tt.topology, tt.nodes), tt.read, tt.write); got != tt.want {
			t.Errorf("%s of %d: read %s and write %s overlap %t, want %t", tt.topology, tt.nodes, tt.read, tt.write, got, tt.want)
		}
	}
}

func TestRing(t *testing.T) {
	want := []string{"-9223372036854775807", "-3074457345618258602", "3074457345618258603"}
	if got := cassandra.Tokens(spec("rf3", 3)); !slices.Equal(got, want) {
		t.Errorf("tokens %v, want %v", got, want)
	}
	all := cassandra.Tokens(spec("dcs", 6))
	if slices.Sort(all); len(slices.Compact(all)) != 6 {
		t.Errorf("two nodes have the same token: %v", all)
	}
	for topology, want := range map[string]string{
		"five": "{'class': 'NetworkTopologyStrategy', 'dc1': 3}",
		"dcs":  "{'class': 'NetworkTopologyStrategy', 'dc1': 3, 'dc2': 2}",
	} {
		if got := cassandra.Replication(spec(topology, 5)); got != want {
			t.Errorf("%s: replication %s, want %s", topology, got, want)
		}
	}
}

func TestPromises(t *testing.T) {
	for _, tt := range []struct {
		topology         string
		levels           map[string]string
		claim, isolation string
	}{
		{"rf3", map[string]string{"read": "SERIAL", "write": "SERIAL"}, "linearizable", "strict-serializable"},
		{"rf3", map[string]string{"read": "LOCAL_SERIAL", "write": "SERIAL"}, "linearizable", "strict-serializable"},
		{"dcs", map[string]string{"read": "SERIAL", "write": "SERIAL"}, "linearizable", "strict-serializable"},
		{"dcs", map[string]string{"read": "LOCAL_SERIAL", "write": "LOCAL_SERIAL", "cas": "refused", "timestamps": "client"}, "", ""},
		{"rf3", map[string]string{"read": "QUORUM", "write": "QUORUM", "cas": "refused", "timestamps": "client"}, "regular", ""},
		{"rf3", map[string]string{"read": "QUORUM", "write": "QUORUM", "cas": "refused", "timestamps": "server"}, "", ""},
		{"rf3", map[string]string{"read": "QUORUM", "write": "QUORUM", "cas": "rmw", "timestamps": "client"}, "", ""},
		{"rf3", map[string]string{"read": "ONE", "write": "ONE", "cas": "refused", "timestamps": "client"}, "", ""},
	} {
		s := spec(tt.topology, 6)
		s.Levels = tt.levels
		if claim, isolation := cassandra.Promises(s); claim != tt.claim || isolation != tt.isolation {
			t.Errorf("%s %v: %q and %q, want %q and %q", tt.topology, tt.levels, claim, isolation, tt.claim, tt.isolation)
		}
	}
}
