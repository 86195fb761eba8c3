package nemesis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
)

// runtime is the clock of a synctest bubble.
type runtime struct{ start time.Time }

func (r runtime) Now() time.Duration { return time.Since(r.start) }
func (runtime) Go(f func())          { go f() }
func (runtime) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
func (runtime) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}
func (runtime) Wait(context.Context, time.Duration) {}
func (runtime) Wake()                               {}

// world is a cluster in memory. It does as it is told and measures what it
// does, unless it lies: then it measures as if nothing were in force.
type world struct {
	mu    sync.Mutex
	nodes []string
	start time.Time
	rng   *rand.Rand
	lie   bool
	err   error // of every action

	links   cluster.LinkState
	procs   map[string]cluster.State
	clocks  map[string]cluster.Skew
	since   map[string]time.Duration
	disks   map[string]cluster.Disk
	limits  map[string]cluster.Limits
	members []string
	primary string
	resets  int
	noisy   int           // how many measurements meet a loaded machine
	slow    time.Duration // before a clock is set
	crashes int
	log     []string
}

func newWorld(n int) (*cluster.Cluster, *world) {
	w := &world{start: time.Now(), rng: rand.New(rand.NewPCG(1, 2)), procs: map[string]cluster.State{}, clocks: map[string]cluster.Skew{},
		since: map[string]time.Duration{}, disks: map[string]cluster.Disk{}, limits: map[string]cluster.Limits{}}
	roles := map[string]string{}
	for i := range n {
		name := fmt.Sprintf("n%d", i+1)
		w.nodes = append(w.nodes, name)
		w.procs[name] = cluster.Running
		roles[name] = []string{"store", "store", "witness"}[i%3]
	}
	w.members = slices.Clone(w.nodes)
	w.primary = w.nodes[min(1, n-1)]
	return &cluster.Cluster{Nodes: w.nodes, Roles: roles, Net: fakeNet{w}, Procs: fakeProcs{w}, Clocks: fakeClocks{w}, Disks: fakeDisks{w}, Limits: fakeLimits{w},
		Primaries: func(context.Context) ([]string, error) { return []string{w.primary}, nil },
		Members: &cluster.Members{
			List: func(context.Context) ([]string, error) {
				if w.lie {
					return w.nodes, nil
				}
				return w.members, nil
			},
			Remove: func(_ context.Context, n string) error {
				w.members = slices.DeleteFunc(slices.Clone(w.members), func(m string) bool { return m == n })
				return w.err
			},
			Add:      func(_ context.Context, n string) error { w.members = append(w.members, n); return w.err },
			Transfer: func(_ context.Context, to string) error { w.primary = to; return w.err },
			Upgrade:  func(context.Context, string, string) error { return w.err },
		}}, w
}

func (w *world) say(format string, args ...any) error {
	w.log = append(w.log, fmt.Sprintf(format, args...))
	return w.err
}

func (w *world) now() time.Duration { return time.Since(w.start) }

// whole says what is not as it was at first.
func (w *world) whole() error {
	var errs []error
	if len(w.links.Cut) > 0 || len(w.links.Shape) > 0 {
		errs = append(errs, fmt.Errorf("links: %v", w.links))
	}
	for _, n := range w.nodes {
		if w.procs[n] != cluster.Running || w.clocks[n] != (cluster.Skew{}) || w.disks[n] != (cluster.Disk{}) || w.limits[n] != (cluster.Limits{}) {
			errs = append(errs, fmt.Errorf("%s: %v %v %v %v", n, w.procs[n], w.clocks[n], w.disks[n], w.limits[n]))
		}
	}
	if got := slices.Sorted(slices.Values(w.members)); !slices.Equal(got, w.nodes) {
		errs = append(errs, fmt.Errorf("members %v", got))
	}
	return errors.Join(errs...)
}

type fakeNet struct{ w *world }

func (f fakeNet) Can(cluster.LinkState) error { return nil }
func (f fakeNet) Apply(_ context.Context, s cluster.LinkState) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.links = s
	return f.w.err
}
func (f fakeNet) Probe(context.Context) (cluster.Reach, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	r := cluster.Reach{}
	for _, a := range append([]string{cluster.Clients}, f.w.nodes...) {
		for _, b := range append([]string{cluster.Clients}, f.w.nodes...) {
			if a != b {
				l := cluster.Link{From: a, To: b}
				r[l] = f.w.links.Cut[l] == cluster.Open || f.w.lie
			}
		}
	}
	return r, nil
}
func (f fakeNet) Measure(_ context.Context, links []cluster.Link, count int, over time.Duration) (map[cluster.Link]cluster.Quality, error) {
	time.Sleep(over)
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	all := map[cluster.Link]cluster.Quality{}
	for _, l := range links {
		s := f.w.links.Shape[l]
		if f.w.lie {
			s = cluster.Shape{}
		}
		all[l] = f.w.quality(s, count)
	}
	if f.w.noisy--; f.w.noisy >= 0 {
		for l, q := range all {
			q.P50, q.P99, q.Max = q.P50+20*time.Millisecond, q.P99+90*time.Millisecond, q.Max+90*time.Millisecond
			all[l] = q
		}
	}
	return all, nil
}
func (w *world) quality(s cluster.Shape, count int) cluster.Quality {
	hit := func(p float64) int {
		if w.rng.Float64() < p {
			return 1
		}
		return 0
	}
	q := cluster.Quality{Sent: count, Min: time.Millisecond, P50: time.Millisecond + s.Delay, P99: time.Millisecond + s.Delay + s.Jitter, Max: time.Millisecond + s.Delay + s.Jitter}
	for range count {
		if hit(s.Loss) == 1 || !s.Disguise && hit(s.Corrupt) == 1 {
			continue
		}
		q.Arrived++
		q.Duplicates += hit(s.Duplicate)
		q.Reordered += hit(s.Reorder)
		if s.Disguise {
			q.Corrupted += hit(s.Corrupt)
		}
	}
	return q
}
func (f fakeNet) Counters(context.Context) (map[cluster.Link]uint64, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	c := map[cluster.Link]uint64{}
	for l := range f.w.links.Shape {
		if !f.w.lie {
			c[l] = 7
		}
	}
	return c, nil
}
func (f fakeNet) Reset(context.Context, []cluster.Link) error { f.w.resets++; return f.w.err }

type fakeProcs struct{ w *world }

func (f fakeProcs) become(n string, s cluster.State, from ...cluster.State) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if !slices.Contains(from, f.w.procs[n]) && f.w.procs[n] != s {
		return fmt.Errorf("%s is %s and cannot become %s", n, f.w.procs[n], s)
	}
	f.w.procs[n] = s
	return f.w.say("%s %s", n, s)
}

func (f fakeProcs) Kill(_ context.Context, n string) error {
	return f.become(n, cluster.Dead, cluster.Running, cluster.Paused, cluster.Suspended)
}
func (f fakeProcs) Stop(_ context.Context, n string) error {
	return f.become(n, cluster.Dead, cluster.Running)
}
func (f fakeProcs) Start(_ context.Context, n string) error {
	return f.become(n, cluster.Running, cluster.Dead)
}
func (f fakeProcs) Pause(_ context.Context, n string) error {
	return f.become(n, cluster.Paused, cluster.Running)
}
func (f fakeProcs) Resume(_ context.Context, n string) error {
	return f.become(n, cluster.Running, cluster.Paused)
}
func (f fakeProcs) Suspend(_ context.Context, n string) error {
	return f.become(n, cluster.Suspended, cluster.Running)
}
func (f fakeProcs) Continue(_ context.Context, n string) error {
	return f.become(n, cluster.Running, cluster.Suspended)
}
func (f fakeProcs) State(_ context.Context, n string) (cluster.State, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.lie {
		return cluster.Running, nil
	}
	return f.w.procs[n], nil
}

type fakeClocks struct{ w *world }

func (f fakeClocks) Skew(_ context.Context, n string, s cluster.Skew) error {
	time.Sleep(f.w.slow)
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.clocks[n], f.w.since[n] = s, f.w.now()
	return f.w.err
}
func (f fakeClocks) Offset(_ context.Context, n string) (time.Duration, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.lie {
		return 0, nil
	}
	s := f.w.clocks[n]
	return s.Offset + time.Duration(s.Drift*float64(f.w.now()-f.w.since[n])), nil
}

type fakeDisks struct{ w *world }

func (f fakeDisks) Can(cluster.Disk) error { return nil }
func (f fakeDisks) Apply(_ context.Context, n string, d cluster.Disk) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.disks[n] = d
	return f.w.err
}
func (f fakeDisks) CrashLoses() error { return nil }
func (f fakeDisks) Crash(_ context.Context, n string) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.crashes++
	f.w.procs[n] = cluster.Dead
	return f.w.err
}
func (f fakeDisks) Damage(context.Context, string, cluster.Damage) ([]string, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if f.w.lie {
		return nil, nil
	}
	return []string{"wal/1: bit 7 flipped"}, f.w.err
}
func (f fakeDisks) Probe(_ context.Context, n string) (cluster.DiskReport, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	d := f.w.disks[n]
	if f.w.lie {
		d = cluster.Disk{}
	}
	r := cluster.DiskReport{Write: time.Millisecond + d.Delay, Sync: time.Millisecond + d.Delay, Read: d.Delay}
	switch {
	case d.ReadOnly:
		r.Err = "open: read-only file system"
	case d.Full:
		r.Err = "write: no space left on device"
	case f.w.rng.Float64() < d.ReadErrors+d.WriteErrors+d.SyncErrors:
		r.Err = "sync: input/output error"
	}
	return r, nil
}

type fakeLimits struct{ w *world }

func (f fakeLimits) Limit(_ context.Context, n string, l cluster.Limits) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.limits[n] = l
	return f.w.err
}
func (f fakeLimits) Usage(_ context.Context, n string) (cluster.Usage, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	l := f.w.limits[n]
	u := cluster.Usage{CPU: 0.05, Memory: 100 << 20, CPULimit: 2, MemoryLimit: 1 << 30}
	if l.CPU > 0 && !f.w.lie {
		u.CPULimit = l.CPU
	}
	if l.Headroom > 0 && !f.w.lie {
		u.MemoryLimit = u.Memory + l.Headroom
	}
	return u, nil
}

// kinds is every kind that ships, a fault of each, and what it needs.
func kinds() []nemesis.Kind {
	return []nemesis.Kind{
		nemesis.Partition(), nemesis.Isolate(), nemesis.Clients(),
		nemesis.Delay(), nemesis.Loss(), nemesis.Duplicate(), nemesis.Reorder(), nemesis.Corrupt(), nemesis.Rate(),
		nemesis.Kill(), nemesis.Stop(), nemesis.Pause(), nemesis.Suspend(), nemesis.Crash(), nemesis.Storm(), nemesis.Rolling(), nemesis.Rekill(),
		nemesis.Clock(), nemesis.Jump(), nemesis.Strobe(), nemesis.Drift(),
		nemesis.DiskFull(), nemesis.DiskReadOnly(), nemesis.DiskSlow(), nemesis.DiskError(), nemesis.DiskDamage(),
		nemesis.CPU(), nemesis.Memory(),
		nemesis.Remove(), nemesis.Replace(), nemesis.Transfer(), nemesis.Upgrade(), nemesis.Mix(),
	}
}

func parse(t *testing.T, s string) nemesis.Fault {
	t.Helper()
	f, err := nemesis.Parse(kinds(), s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// stage is a nemesis on a fresh cluster.
func stage(t *testing.T, nodes int, seed uint64) (*nemesis.Nemesis, *cluster.Cluster, *world) {
	t.Helper()
	c, w := newWorld(nodes)
	return nemesis.New(c, runtime{time.Now()}, seed), c, w
}

func start(t *testing.T, n *nemesis.Nemesis, text string) history.FaultDetail {
	t.Helper()
	d, err := n.Start(t.Context(), n.Number(), parse(t, text))
	if err != nil {
		t.Fatalf("start %s: %v", text, err)
	}
	return d
}
