package docker_test

import (
	"testing"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// TestAbandoned: whose run a sweep takes.
func TestAbandoned(t *testing.T) {
	for _, tt := range []struct {
		name   string
		run    docker.TestRun
		remove bool
	}{
		{"of a living process", docker.TestRun{}, false},
		{"of a dead process", docker.TestRun{Start: "1"}, true},
		{"of a dead process, kept and running", docker.TestRun{Start: "1", Keep: true, HolderRuns: true}, false},
		{"of a dead process, to be kept but torn", docker.TestRun{Start: "1", Keep: true}, true},
		{"of a living process, without a holder yet", docker.TestRun{HolderRuns: false}, false},
		{"from before the reboot", docker.TestRun{Boot: "other", Start: "1"}, true},
		{"of another host", docker.TestRun{Host: "other", Boot: "other", HolderRuns: true}, false},
		{"of another host, dead, young", docker.TestRun{Host: "other", Boot: "other"}, false},
		{"of another host, dead, old", docker.TestRun{Host: "other", Boot: "other", Old: true}, true},
		{"of another pid namespace", docker.TestRun{PIDNS: "other", Start: "1", HolderRuns: true, Old: true}, false},
		{"of another pid namespace, dead, old", docker.TestRun{PIDNS: "other", Old: true}, true},
	} {
		if got := docker.Abandoned(tt.run); got != tt.remove {
			t.Errorf("run %s: removed %t, want %t", tt.name, got, tt.remove)
		}
	}
}
