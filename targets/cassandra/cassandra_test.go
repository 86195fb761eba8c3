package cassandra_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/cassandra"
	"github.com/capstan-dev/capstan/targets/conform"
)

// ring starts three nodes.
func ring(t *testing.T) targets.System {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	sys := conform.Boot(ctx, t, cassandra.Target{}, conform.Request(t, cassandra.Target{}, "rf3", "read=ONE", "write=ONE"))
	conform.Must(t, sys.Ready(ctx))
	return sys
}

// at are the levels of a connection.
func at(read, write string) map[string]string {
	return map[string]string{"read": read, "write": write, "cas": "refused", "paxos": "v1"}
}

// open connects to a node, at other levels than the system's.
func open(t *testing.T, sys targets.System, node string, levels map[string]string) *cassandra.Conn {
	t.Helper()
	return conform.Open[*cassandra.Conn](t, sys, node, 10*time.Second).At(levels)
}

// TestLevels: what a node that is cut off does at each level, and that it
// hears afterwards what it missed.
func TestLevels(t *testing.T) {
	sys := ring(t)
	const key = 1
	ctx := t.Context()
	conform.Must(t, open(t, sys, "n1", at("ALL", "ALL")).Write(ctx, key, 1))
	conform.Isolate(t, sys, "n3", cluster.Reject)
	conform.Must(t, open(t, sys, "n1", at("ONE", "QUORUM")).Write(ctx, key, 2))
	if v, err := readAlone(t, sys, key); err != nil || v != 1 {
		t.Errorf("read at ONE on the node that is cut off: %d, %v; want what it had, 1", v, err)
	}
	if v, err := readWithin(t, open(t, sys, "n1", at("QUORUM", "ONE")), key); err != nil || v != 2 {
		t.Errorf("read at QUORUM on the other side: %d, %v; want 2", v, err)
	}
	for _, level := range []string{"QUORUM", "ALL", "SERIAL"} {
		if v, err := readWithin(t, open(t, sys, "n3", at(level, "ONE")), key); err == nil {
			t.Errorf("read at %s on the node that is cut off: %d, want an error", level, v)
		}
	}
	conform.Heal(t, sys)
	conform.Ready(t, sys, 90*time.Second)
	if v, err := readWithin(t, open(t, sys, "n3", at("QUORUM", "ONE")), key); err != nil || v != 2 {
		t.Errorf("read at QUORUM after the heal: %d, %v; want 2", v, err)
	}
	t.Run("cas", func(t *testing.T) { compareAndSet(t, sys) })
}

// readAlone reads at ONE on the node that is cut off. Until that notices that
// the others are gone it may ask one of them.
func readAlone(t *testing.T, sys targets.System, key int) (v int, err error) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		if v, err = readWithin(t, open(t, sys, "n3", at("ONE", "ONE")), key); err == nil {
			break
		}
	}
	return v, err
}

func readWithin(t *testing.T, c *cassandra.Conn, key int) (int, error) {
	v, _, err := c.Read(conform.Within(t, 5*time.Second), key)
	return v, err
}

// compareAndSet in its three ways among plain writes.
func compareAndSet(t *testing.T, sys targets.System) {
	const key = 2
	levels := at("QUORUM", "QUORUM")
	conform.Must(t, open(t, sys, "n1", levels).Write(t.Context(), key, 1))
	if got, err := open(t, sys, "n1", levels).CAS(t.Context(), key, 1, 2); !errors.Is(err, history.ErrNotOffered) {
		t.Errorf("refused: %+v, %v", got, err)
	}
	for v, how := range []string{"", "rmw", "lwt"} {
		if how == "" {
			continue
		}
		levels := maps.Clone(levels)
		levels["cas"] = how
		c := open(t, sys, "n2", levels)
		if got, err := c.CAS(t.Context(), key, 99, 100); err != nil || got.Done || !got.Known || got.Value != v {
			t.Errorf("%s from a wrong value: %+v, %v", how, got, err)
		}
		if got, err := c.CAS(t.Context(), key, v, v+1); err != nil || !got.Done {
			t.Errorf("%s: %+v, %v", how, got, err)
		}
	}
}
