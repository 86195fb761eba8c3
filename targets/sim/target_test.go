package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/sim"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
)

var _ targets.Target = sim.Target{}

// stores tells which workloads a connection can be driven by.
func stores(c io.Closer) (all []string) {
	if _, ok := c.(register.Store); ok {
		all = append(all, "register")
	}
	if _, ok := c.(set.Store); ok {
		all = append(all, "set")
	}
	if _, ok := c.(counter.Store); ok {
		all = append(all, "counter")
	}
	return all
}

func TestTopologiesServeTheirWorkloads(t *testing.T) {
	want := map[string]string{
		"async": "register set counter", "sync": "register set counter", "raft": "register set counter",
		"quorum": "register set", "lww": "register set", "crdt": "set counter",
	}
	for i, top := range (sim.Target{}).Topologies() {
		if i == 0 && top.Name != "async" {
			t.Errorf("the default topology is %s", top.Name)
		}
		if got := strings.Join(stores(top.Conn), " "); got != want[top.Name] {
			t.Errorf("%s serves %q, want %q", top.Name, got, want[top.Name])
		}
		sys := begin(t, top, top.Nodes, 1, nil)
		c, err := sys.Open(t.Context(), "n1", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(stores(c), " "); got != want[top.Name] {
			t.Errorf("%s opens a connection that serves %q, want %q", top.Name, got, want[top.Name])
		}
		delete(want, top.Name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func begin(t testing.TB, top targets.Topology, nodes int, seed uint64, levels map[string]string) targets.System {
	t.Helper()
	all := map[string]string{}
	for _, l := range top.Levels {
		all[l.Name] = l.Values[0]
	}
	for k, v := range levels {
		all[k] = v
	}
	sys, err := (sim.Target{}).Start(t.Context(), targets.Spec{Topology: top.Name, Nodes: nodes, Levels: all, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sys.Close(context.Background()) })
	if err := sys.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return sys
}

func find(t testing.TB, name string) targets.Topology {
	t.Helper()
	for _, top := range (sim.Target{}).Topologies() {
		if top.Name == name {
			return top
		}
	}
	t.Fatalf("no topology %s", name)
	return targets.Topology{}
}

func TestClusterSizes(t *testing.T) {
	for _, top := range (sim.Target{}).Topologies() {
		for _, nodes := range []int{top.Min, top.Min + 1, 9} {
			sys := begin(t, top, nodes, 1, nil)
			if n := len(sys.Cluster().Nodes); n != nodes {
				t.Errorf("%s has %d nodes, want %d", top.Name, n, nodes)
			}
		}
		for _, nodes := range []int{top.Min - 1, top.Max + 1} {
			if _, err := (sim.Target{}).Start(t.Context(), targets.Spec{Topology: top.Name, Nodes: nodes}); err == nil {
				t.Errorf("%s starts with %d nodes", top.Name, nodes)
			}
		}
	}
	if _, err := (sim.Target{}).Start(t.Context(), targets.Spec{Topology: "none", Nodes: 5}); err == nil {
		t.Error("an unknown topology starts")
	}
}

// Every topology serves a client at each node, and reads what it wrote.
func TestClientsAtEveryNode(t *testing.T) {
	for _, top := range (sim.Target{}).Topologies() {
		t.Run(top.Name, func(t *testing.T) {
			sys := begin(t, top, top.Nodes, 1, nil)
			for i, node := range sys.Cluster().Nodes {
				ctx, cancel := sys.Cluster().Runtime.WithTimeout(t.Context(), 5*time.Second)
				c, err := sys.Open(ctx, node, i)
				if err != nil {
					t.Fatal(err)
				}
				if err := exercise(ctx, c, i); err != nil {
					t.Errorf("at %s: %v", node, err)
				}
				cancel()
			}
		})
	}
}

func exercise(ctx context.Context, c io.Closer, i int) error {
	var errs []error
	if s, ok := c.(register.Store); ok {
		_, found, err := s.Read(ctx, i)
		errs = append(errs, err, s.Write(ctx, i, 10))
		swapped, err2 := s.CAS(ctx, i, 10, 11)
		missed, err3 := s.CAS(ctx, i, 10, 12)
		v, _, err4 := s.Read(ctx, i)
		if found || !swapped.Done || missed != register.Found(11, true) || v != 11 {
			errs = append(errs, fmt.Errorf("found %v, swapped %v, missed %v, value %d", found, swapped, missed, v))
		}
		errs = append(errs, err2, err3, err4)
	}
	if s, ok := c.(set.Store); ok {
		errs = append(errs, s.Add(ctx, 100+i))
		all, err := s.ReadAll(ctx)
		if !slices.Contains(all, 100+i) {
			errs = append(errs, fmt.Errorf("element %d is missing from %v", 100+i, all))
		}
		errs = append(errs, err)
	}
	if s, ok := c.(counter.Store); ok {
		v, err := s.Get(ctx)
		if v < 100+i {
			errs = append(errs, fmt.Errorf("the counter is %d", v))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func TestPrimariesAskTheNodes(t *testing.T) {
	for _, name := range []string{"async", "sync", "raft"} {
		sys := begin(t, find(t, name), 5, 1, nil)
		c := sys.Cluster()
		before := c.Runtime.Now()
		p, err := c.Primaries(t.Context())
		if err != nil || len(p) != 1 {
			t.Errorf("%s: primaries %v, %v", name, p, err)
		}
		if c.Runtime.Now() == before {
			t.Errorf("%s: the question took no time", name)
		}
		if err := c.Procs.Kill(t.Context(), p[0]); err != nil {
			t.Fatal(err)
		}
		again, err := c.Primaries(t.Context())
		if err != nil || slices.Contains(again, p[0]) {
			t.Errorf("%s: primaries %v, %v after %v died", name, again, err, p)
		}
		conn, err := sys.Open(t.Context(), p[0], 1)
		if !errors.Is(err, history.ErrNotApplied) {
			t.Errorf("%s: open a dead node: %v, %v", name, conn, err)
		}
	}
	c := begin(t, find(t, "lww"), 5, 1, nil).Cluster()
	if c.Primaries != nil || c.Why["Primaries"] == "" {
		t.Error("lww claims to have primaries, or does not say why not")
	}
}

func TestReadyNamesTheNode(t *testing.T) {
	sys := begin(t, find(t, "raft"), 3, 1, nil)
	c := sys.Cluster()
	if err := c.Procs.Kill(t.Context(), "n2"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := c.Runtime.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := sys.Ready(ctx)
	if err == nil || !strings.Contains(err.Error(), "n2 does not answer") || !strings.Contains(err.Error(), "killed") {
		t.Errorf("error %v", err)
	}
}

func TestClaims(t *testing.T) {
	for _, c := range []struct{ topology, level, value, want string }{
		{"async", "", "", ""},
		{"sync", "", "", "linearizable"},
		{"sync", "read", "local", ""},
		{"raft", "", "", "linearizable"},
		{"raft", "read", "local", ""},
		{"raft", "bug", "stale-read", "linearizable"},
		{"quorum", "", "", "regular"},
		{"quorum", "r", "one", ""},
		{"quorum", "w", "all", "regular"},
		{"lww", "", "", ""},
		{"crdt", "", "", ""},
	} {
		levels := map[string]string{}
		if c.level != "" {
			levels[c.level] = c.value
		}
		if got := begin(t, find(t, c.topology), 5, 1, levels).Claim(); got != c.want {
			t.Errorf("%v: claim %q", c, got)
		}
	}
}

func TestBugsAreLevels(t *testing.T) {
	if n := len(sim.Bugs()); n < 10 {
		t.Errorf("%d bugs", n)
	}
	seen := map[string]bool{}
	for _, b := range sim.Bugs() {
		top := find(t, b.Topology)
		var values []string
		for _, l := range top.Levels {
			if l.Name == "bug" {
				values = l.Values
			}
		}
		if values[0] != "none" || !slices.Contains(values, b.Name) {
			t.Errorf("%s: levels %v lack %s", b.Topology, values, b.Name)
		}
		if !slices.Contains(stores(top.Conn), b.Workload) {
			t.Errorf("%s does not serve workload %s of bug %s", b.Topology, b.Workload, b.Name)
		}
		if b.Doc == "" || seen[b.Topology+b.Name] {
			t.Errorf("bug %s/%s has no doc, or is twice", b.Topology, b.Name)
		}
		seen[b.Topology+b.Name] = true
	}
}

func TestLogsAreWrittenAndRepeat(t *testing.T) {
	var logs [2]string
	for i := range logs {
		sys := begin(t, find(t, "raft"), 3, 9, nil)
		dir := t.TempDir()
		if err := sys.Logs(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		for _, n := range sys.Cluster().Nodes {
			b, err := os.ReadFile(filepath.Join(dir, n, "node.log"))
			if err != nil || !bytes.Contains(b, []byte("the leader is")) {
				t.Errorf("log of %s: %q, %v", n, b, err)
			}
			logs[i] += string(b)
		}
	}
	if logs[0] != logs[1] {
		t.Error("the same seed gave two different logs")
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, top := range (sim.Target{}).Topologies() {
		sys := begin(t, top, top.Nodes, 1, nil)
		rt := sys.Cluster().Runtime
		c, err := sys.Open(t.Context(), "n1", 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := sys.Cluster().Procs.Pause(t.Context(), "n1"); err != nil {
			t.Fatal(err)
		}
		rt.Go(func() { _ = exercise(context.Background(), c, 1) })
		rt.Wait(t.Context(), rt.Now()+time.Second)
		if err := sys.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := sys.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}
