package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/capstan-dev/capstan/cluster"
	world "github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/workloads/register"
)

// scenario is a small run: clients, and faults by a timetable.
type scenario struct {
	topology string
	levels   map[string]string
	fault    string
	seed     uint64
	clients  int
	length   time.Duration
	keys     int
	verb     string // register, set or counter
	loss     float64
}

// run is what came of it.
type run struct {
	ops    []porcupine.Operation
	sets   setRun
	count  counterRun
	ok     int
	events uint64
	logs   string
	open   error // of healing
}

type regIn struct {
	kind   opKind
	key, a int
	b      int
}

type regOut struct {
	unknown bool
	ok      bool
	v       int
	seen    bool // a cas that missed found v
}

type setRun struct {
	acked, tried intset
	final        []intset
	stale        int // reads that lack what was acknowledged before they began
}

type counterRun struct {
	acked, tried int
	final        []int
	best         map[string]int // the greatest value read at each node
	back         int            // reads below one that the same node gave before they began
}

func levelsOf(t testing.TB, topology string, set map[string]string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, top := range (Target{}).Topologies() {
		if top.Name == topology {
			for _, l := range top.Levels {
				all[l.Name] = l.Values[0]
			}
		}
	}
	for k, v := range set {
		all[k] = v
	}
	return all
}

func (sc scenario) start(t testing.TB) *system {
	spec := targets.Spec{Topology: sc.topology, Nodes: 5, Levels: levelsOf(t, sc.topology, sc.levels), Seed: sc.seed}
	cfg := world.LAN(sc.seed, []string{"n1", "n2", "n3", "n4", "n5"})
	cfg.Loss = sc.loss
	for _, top := range topologies() {
		if top.name == sc.topology {
			return build(top, spec, cfg)
		}
	}
	t.Fatalf("no topology %s", sc.topology)
	return nil
}

func drive(t testing.TB, sc scenario) *run {
	t.Helper()
	ctx := context.Background()
	sys := sc.start(t)
	defer sys.Close(ctx)
	if err := sys.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	d := &driver{t: t, sc: sc, sys: sys, rt: sys.Cluster().Runtime, r: &run{}}
	d.r.count.best = map[string]int{}
	d.end = d.rt.Now() + sc.length
	left := sc.clients + 1
	finish := func() {
		if left--; left == 0 {
			d.rt.Wake()
		}
	}
	for c := range sc.clients {
		d.rt.Go(func() { d.client(c); finish() })
	}
	d.rt.Go(func() { d.nemesis(); finish() })
	d.rt.Wait(ctx, d.end+time.Hour)
	if left > 0 {
		t.Fatalf("seed %d: %d tasks hang", sc.seed, left)
	}
	d.rt.Sleep(ctx, 3*time.Second)
	d.r.open = sys.Ready(ctx)
	d.final()
	w := sys.world
	d.r.events = w.Events()
	for _, n := range sys.Cluster().Nodes {
		d.r.logs += string(w.Log(n))
	}
	return d.r
}

type driver struct {
	t    testing.TB
	sc   scenario
	sys  targets.System
	rt   cluster.Runtime
	end  time.Duration
	r    *run
	next int
	proc int
}

const opTimeout = time.Second

func (d *driver) open(node string) any {
	ctx := context.Background()
	for {
		d.proc++
		c, err := d.sys.Open(ctx, node, d.proc)
		if err == nil {
			return c
		}
		if d.rt.Now() > d.end {
			return nil
		}
		d.rt.Sleep(ctx, 100*time.Millisecond)
	}
}

func (d *driver) client(c int) {
	rng := rand.New(rand.NewPCG(d.sc.seed, uint64(1000+c)))
	nodes := d.sys.Cluster().Nodes
	node := nodes[c%len(nodes)]
	conn := d.open(node)
	for d.rt.Now() < d.end && conn != nil {
		ctx, cancel := d.rt.WithTimeout(context.Background(), opTimeout)
		var err error
		switch d.sc.verb {
		case "register":
			err = d.register(ctx, c, rng, conn)
		case "set":
			err = d.set(ctx, rng, conn)
		case "counter":
			err = d.counter(ctx, rng, conn, node)
		}
		cancel()
		if err != nil && !errors.Is(err, history.ErrNotApplied) {
			conn.(io.Closer).Close()
			conn = d.open(node)
		}
		d.rt.Sleep(context.Background(), time.Duration(rng.IntN(20))*time.Millisecond)
	}
}

type regStore interface {
	Read(ctx context.Context, key int) (int, bool, error)
	Write(ctx context.Context, key, v int) error
	CAS(ctx context.Context, key, old, new int) (register.Swap, error)
}

func (d *driver) register(ctx context.Context, c int, rng *rand.Rand, conn any) error {
	s := conn.(regStore)
	d.next++
	// Keys rotate, so that the checker sees short histories.
	key := int(d.rt.Now()/(4*time.Second))*d.sc.keys + rng.IntN(d.sc.keys)
	in, start := regIn{key: key}, d.rt.Now()
	var out regOut
	var err error
	switch rng.IntN(5) {
	case 0, 1:
		in.kind, in.a = opWrite, d.next
		err = s.Write(ctx, key, in.a)
	case 2:
		in.kind, in.a, in.b = opCAS, max(0, d.next-1-rng.IntN(10)), d.next
		var swap register.Swap
		swap, err = s.CAS(ctx, key, in.a, in.b)
		out.ok, out.v, out.seen = swap.Done, swap.Value, swap.Known && !swap.Absent
	default:
		in.kind = opRead
		out.v, out.ok, err = s.Read(ctx, key)
	}
	end := int64(d.rt.Now())
	switch {
	case err == nil:
		d.r.ok++
	case errors.Is(err, history.ErrNotApplied) || in.kind == opRead:
		return err
	default:
		out.unknown = true
		end = int64(history.Forever)
	}
	d.r.ops = append(d.r.ops, porcupine.Operation{ClientId: c, Input: in, Output: out, Call: int64(start), Return: end})
	return err
}

type setStore interface {
	Add(ctx context.Context, element int) error
	ReadAll(ctx context.Context) ([]int, error)
}

func (d *driver) set(ctx context.Context, rng *rand.Rand, conn any) error {
	s := conn.(setStore)
	if rng.IntN(4) == 0 {
		return d.readSet(ctx, s)
	}
	d.next++
	x := d.next
	err := s.Add(ctx, x)
	if !errors.Is(err, history.ErrNotApplied) {
		d.r.sets.tried.add(x)
	}
	if err == nil {
		d.r.ok++
		d.r.sets.acked.add(x)
	}
	return err
}

// fresh are the topologies whose reads show all that was acknowledged.
var fresh = []string{"sync", "raft", "quorum"}

func (d *driver) readSet(ctx context.Context, s setStore) error {
	before := d.r.sets.acked.clone()
	all, err := s.ReadAll(ctx)
	if err == nil && contains(fresh, d.sc.topology) && !setOf(all).covers(before) {
		d.r.sets.stale++
	}
	return err
}

func setOf(all []int) (s intset) {
	for _, x := range all {
		s.add(x)
	}
	return s
}

type countStore interface {
	AddTo(ctx context.Context, delta int) error
	Get(ctx context.Context) (int, error)
}

func (d *driver) counter(ctx context.Context, rng *rand.Rand, conn any, node string) error {
	s := conn.(countStore)
	if rng.IntN(4) == 0 {
		c := &d.r.count
		before := c.best[node]
		v, err := s.Get(ctx)
		if err == nil {
			if v < before {
				c.back++
			}
			c.best[node] = max(c.best[node], v)
		}
		return err
	}
	delta := 1 + rng.IntN(5)
	err := s.AddTo(ctx, delta)
	if !errors.Is(err, history.ErrNotApplied) {
		d.r.count.tried += delta
	}
	if err == nil {
		d.r.ok++
		d.r.count.acked += delta
	}
	return err
}

// final reads through every node after the heal.
func (d *driver) final() {
	for _, node := range d.sys.Cluster().Nodes {
		ctx, cancel := d.rt.WithTimeout(context.Background(), 5*time.Second)
		conn, err := d.sys.Open(ctx, node, 100000)
		if err == nil {
			switch d.sc.verb {
			case "set":
				if all, err := conn.(setStore).ReadAll(ctx); err == nil {
					d.r.sets.final = append(d.r.sets.final, setOf(all))
				}
			case "counter":
				if v, err := conn.(countStore).Get(ctx); err == nil {
					d.r.count.final = append(d.r.count.final, v)
				}
			}
		}
		cancel()
	}
}

// nemesis: 2 s of peace, then 4 s of fault and 3 s of peace, again and again.
func (d *driver) nemesis() {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(d.sc.seed, 77))
	for d.rt.Sleep(ctx, 2*time.Second); d.rt.Now() < d.end; d.rt.Sleep(ctx, 3*time.Second) {
		if d.sc.fault == "none" {
			continue
		}
		undo := d.inject(ctx, rng)
		d.rt.Sleep(ctx, 4*time.Second)
		undo()
	}
}

func (d *driver) must(err error) {
	if err != nil {
		d.t.Errorf("seed %d: %v", d.sc.seed, err)
	}
}

// victim is a primary if there is one, and any node else.
func (d *driver) victim(ctx context.Context, rng *rand.Rand) string {
	c := d.sys.Cluster()
	if c.Primaries != nil {
		if p, err := c.Primaries(ctx); err == nil && len(p) > 0 {
			return p[rng.IntN(len(p))]
		}
	}
	return c.Nodes[rng.IntN(len(c.Nodes))]
}

func (d *driver) pick(ctx context.Context, kind string, rng *rand.Rand) []string {
	nodes := d.sys.Cluster().Nodes
	perm := rng.Perm(len(nodes))
	some := func(n int) (out []string) {
		for _, i := range perm[:n] {
			out = append(out, nodes[i])
		}
		return out
	}
	switch kind {
	case "primary":
		return []string{d.victim(ctx, rng)}
	case "one":
		return some(1)
	case "halves":
		return some(2)
	case "majority":
		return some(3)
	}
	return nodes
}

func (d *driver) inject(ctx context.Context, rng *rand.Rand) (undo func()) {
	c := d.sys.Cluster()
	var kind, arg string
	for i, r := range d.sc.fault {
		if r == ':' {
			kind, arg = d.sc.fault[:i], d.sc.fault[i+1:]
		}
	}
	hit := d.pick(ctx, arg, rng)
	switch kind {
	case "partition":
		cut := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
		for _, a := range hit {
			for _, b := range c.Nodes {
				if !contains(hit, b) {
					cut.Cut[cluster.Link{From: a, To: b}] = cluster.Drop
					cut.Cut[cluster.Link{From: b, To: a}] = cluster.Drop
				}
			}
		}
		d.must(c.Net.Apply(ctx, cut))
		return func() { d.must(c.Net.Apply(ctx, cluster.LinkState{})) }
	case "kill":
		return d.each(hit, func(n string) error { return c.Procs.Kill(ctx, n) }, func(n string) error { return c.Procs.Start(ctx, n) })
	case "pause":
		return d.each(hit, func(n string) error { return c.Procs.Pause(ctx, n) }, func(n string) error { return c.Procs.Resume(ctx, n) })
	case "clock":
		return d.each(hit, func(n string) error {
			return c.Clocks.Skew(ctx, n, cluster.Skew{Offset: time.Duration(rng.Int64N(int64(4*time.Second))) - 2*time.Second})
		}, func(n string) error { return c.Clocks.Skew(ctx, n, cluster.Skew{}) })
	}
	d.t.Fatalf("no fault %q", d.sc.fault)
	return nil
}

func (d *driver) each(nodes []string, do, undo func(string) error) func() {
	for _, n := range nodes {
		d.must(do(n))
	}
	return func() {
		for _, n := range nodes {
			d.must(undo(n))
		}
	}
}

func contains(all []string, x string) bool {
	for _, a := range all {
		if a == x {
			return true
		}
	}
	return false
}

// model is a register of one key with unknown outcomes.
func model() porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[int][]porcupine.Operation{}
			for _, o := range ops {
				k := o.Input.(regIn).key
				byKey[k] = append(byKey[k], o)
			}
			var all [][]porcupine.Operation
			for _, part := range byKey {
				all = append(all, part)
			}
			return all
		},
		Init: func() any { return -1 },
		Step: func(state, input, output any) (bool, any) {
			in, out, v := input.(regIn), output.(regOut), state.(int)
			switch in.kind {
			case opWrite:
				return true, in.a
			case opCAS:
				hit := v == in.a
				if out.unknown || hit == out.ok && (hit || out.seen == (v != -1) && (!out.seen || out.v == v)) {
					if hit {
						return true, in.b
					}
					return true, v
				}
				return false, v
			}
			return out.ok == (v != -1) && (!out.ok || out.v == v), v
		},
	}
}

// verdict of a run: "" if clean.
func (r *run) verdict(verb string) string {
	switch verb {
	case "register":
		switch porcupine.CheckOperationsTimeout(model(), r.ops, 20*time.Second) {
		case porcupine.Illegal:
			return "not linearizable"
		case porcupine.Unknown:
			return "checker timed out"
		}
	case "set":
		return r.sets.verdict()
	case "counter":
		if r.count.back > 0 {
			return fmt.Sprintf("%d reads went back", r.count.back)
		}
		for _, v := range r.count.final {
			if v < r.count.acked || v > r.count.tried {
				return fmt.Sprintf("counter %d, want %d to %d", v, r.count.acked, r.count.tried)
			}
		}
	}
	return ""
}

func (s setRun) verdict() string {
	if s.stale > 0 {
		return fmt.Sprintf("%d stale reads", s.stale)
	}
	for _, all := range s.final {
		if !s.tried.covers(all) {
			return "an element that nobody added"
		}
		if !all.covers(s.acked) {
			return "a lost element"
		}
	}
	return ""
}
