package harness_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/strength"
	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/harness"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/nemesis"
	"github.com/capstan-dev/capstan/plan"
	"github.com/capstan-dev/capstan/workloads"
	"github.com/capstan-dev/capstan/workloads/gen"
)

// tape is a journal in memory.
type tape struct {
	mu      sync.Mutex
	events  []history.Event
	flushes int
	fail    error
}

func (t *tape) Append(e history.Event) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	e.Index = len(t.events)
	t.events = append(t.events, e)
	return t.fail
}

func (t *tape) Flush() error { t.flushes++; return nil }

func (t *tape) count(k history.Kind) int {
	n := 0
	for _, e := range t.events {
		if e.Kind == k && e.Process >= 0 {
			n++
		}
	}
	return n
}

// conn is a connection whose calls are a function.
type conn struct {
	invoke func(context.Context, gen.Op) (json.RawMessage, error)
	closed *atomic.Int32
	broken bool
}

func (c *conn) Close() error { c.closed.Add(1); return nil }
func (c *conn) Closed() bool { return c.broken }
func (c *conn) Invoke(ctx context.Context, op gen.Op) (json.RawMessage, error) {
	return c.invoke(ctx, op)
}

// system is a target in this process.
type system struct {
	cluster *cluster.Cluster
	invoke  func(context.Context, gen.Op) (json.RawMessage, error)
	openErr error
	readies int
	opened  atomic.Int32
	closed  atomic.Int32
	mu      sync.Mutex
	at      map[int]string // process to node
}

func (s *system) Cluster() *cluster.Cluster   { return s.cluster }
func (s *system) Ready(context.Context) error { s.readies++; return nil }
func (s *system) Open(_ context.Context, node string, process int) (io.Closer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openErr != nil {
		return nil, s.openErr
	}
	s.opened.Add(1)
	s.at[process] = node
	return &conn{invoke: s.invoke, closed: &s.closed}, nil
}
func (s *system) Claim() string                      { return "" }
func (s *system) Versions() map[string]string        { return nil }
func (s *system) Logs(context.Context, string) error { return nil }
func (s *system) Close(context.Context) error        { return nil }

func newSystem(invoke func(context.Context, gen.Op) (json.RawMessage, error)) *system {
	return &system{cluster: &cluster.Cluster{Nodes: []string{"n1", "n2", "n3"}}, invoke: invoke, at: map[int]string{}}
}

// load is a workload of one endless operation and one final read a worker.
type load struct{}

func (load) Name() string { return "load" }
func (load) Doc() string  { return "" }
func (load) Source(workloads.Params) gen.Source {
	return gen.Repeat(gen.Op{F: "w", Value: json.RawMessage("1")})
}
func (load) Final(workloads.Params) gen.Source {
	return gen.EachWorker(func(int) gen.Op { return gen.Op{F: "final"} })
}
func (load) Bind(c io.Closer) (workloads.Client, error) { return c.(*conn), nil }
func (load) Checks() ([]checker.Checker, error)         { return nil, nil }

func config(s *system, j history.Recorder) harness.Config {
	p := plan.Default()
	p.Concurrency, p.Rate, p.TimeLimit, p.OpTimeout, p.Quiesce = 4, 0, 10*time.Second, time.Second, time.Second
	return harness.Config{Plan: p, System: s, Workload: load{}, Journal: j, Phase: func(string) {}}
}

// sleepy answers after d, or when its context ends.
func sleepy(d time.Duration) func(context.Context, gen.Op) (json.RawMessage, error) {
	return func(ctx context.Context, _ gen.Op) (json.RawMessage, error) {
		select {
		case <-time.After(d):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func TestRunRecordsEveryCallOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		s := newSystem(sleepy(100 * time.Millisecond))
		out := harness.Run(t.Context(), t.Context(), config(s, &j))
		if len(out.Problems) > 0 || out.Interrupted {
			t.Errorf("outcome %+v", out)
		}
		if inv, ok := j.count(history.Invoke), j.count(history.OK); inv != ok || inv != 4*100+4 {
			t.Errorf("%d invocations, %d ok, want 404 of each", inv, ok)
		}
		// Each worker has one, and another one for the final reads.
		if s.opened.Load() != 8 || s.closed.Load() != 8 {
			t.Errorf("%d connections opened, %d closed, want 8", s.opened.Load(), s.closed.Load())
		}
		if s.at[0] != "n1" || s.at[1] != "n2" || s.at[3] != "n1" {
			t.Errorf("processes are pinned to %v", s.at)
		}
		wellFormed(t, j.events)
	})
}

// wellFormed: a process has one call in flight, and none after an unknown one.
func wellFormed(t *testing.T, events []history.Event) {
	t.Helper()
	open, gone := map[int]bool{}, map[int]bool{}
	for _, e := range events {
		if e.Process < 0 {
			continue
		}
		if gone[e.Process] || open[e.Process] == (e.Kind == history.Invoke) {
			t.Fatalf("malformed at event %d: %+v", e.Index, e)
		}
		open[e.Process] = e.Kind == history.Invoke
		gone[e.Process] = e.Kind == history.Info
	}
}

func TestTimeoutIsInfoAndRetiresTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		s := newSystem(sleepy(time.Hour))
		harness.Run(t.Context(), t.Context(), config(s, &j))
		if j.count(history.Info) != j.count(history.Invoke) {
			t.Errorf("%d of %d calls are info", j.count(history.Info), j.count(history.Invoke))
		}
		wellFormed(t, j.events)
		for p, node := range s.at {
			if want := s.cluster.Nodes[p%4%3]; node != want {
				t.Errorf("process %d is on %s, its worker on %s", p, node, want)
			}
		}
		for _, e := range j.events {
			if e.Kind == history.Info && e.Process >= 0 && e.Time%time.Second != 0 {
				t.Errorf("a call timed out at %v, not after 1s", e.Time)
			}
		}
	})
}

func TestClientThatIgnoresItsDeadlineIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		release := make(chan struct{})
		s := newSystem(func(context.Context, gen.Op) (json.RawMessage, error) {
			<-release
			return nil, nil // an answer that comes too late must not be recorded
		})
		c := config(s, &j)
		c.Plan.TimeLimit = 2 * time.Second
		harness.Run(t.Context(), t.Context(), c)
		n := len(j.events)
		close(release)
		synctest.Wait()
		if len(j.events) != n || j.count(history.Info) != j.count(history.Invoke) || n == 0 {
			t.Errorf("%d events, %d after the late answers; %d info of %d", n, len(j.events), j.count(history.Info), j.count(history.Invoke))
		}
		wellFormed(t, j.events)
	})
}

func TestOutcomes(t *testing.T) {
	tests := map[string]struct {
		err  error
		want history.Kind
	}{
		"proven":  {fmt.Errorf("%w: refused", history.ErrNotApplied), history.Fail},
		"unknown": {errors.New("connection reset"), history.Info},
		"none":    {nil, history.OK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j tape
				s := newSystem(func(context.Context, gen.Op) (json.RawMessage, error) {
					time.Sleep(10 * time.Millisecond)
					return nil, tt.err
				})
				harness.Run(t.Context(), t.Context(), config(s, &j))
				if j.count(tt.want) != j.count(history.Invoke) {
					t.Errorf("want all of %d to be %v", j.count(history.Invoke), tt.want)
				}
			})
		})
	}
}

func TestPanicOfAClientIsInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		s := newSystem(func(context.Context, gen.Op) (json.RawMessage, error) {
			time.Sleep(time.Second / 2)
			panic("nil map")
		})
		harness.Run(t.Context(), t.Context(), config(s, &j))
		if n := j.count(history.Info); n == 0 || n != j.count(history.Invoke) {
			t.Errorf("%d info of %d", n, j.count(history.Invoke))
		}
	})
}

func TestRefusedConnectionIsFailAndNotAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		s := newSystem(nil)
		s.openErr = errors.New("connection refused")
		harness.Run(t.Context(), t.Context(), config(s, &j))
		if n := j.count(history.Fail); n != j.count(history.Invoke) || n < 300 || n > 500 {
			t.Errorf("%d fails of %d; want 4 workers, 10 a second, 10 s", n, j.count(history.Invoke))
		}
	})
}

func TestBrokenConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		s := newSystem(nil)
		s.invoke = sleepy(time.Second)
		c := config(s, &j)
		w := brokenLoad{}
		c.Workload = w
		harness.Run(t.Context(), t.Context(), c)
		if int(s.opened.Load()) != j.count(history.Invoke) {
			t.Errorf("%d connections for %d calls on connections that break", s.opened.Load(), j.count(history.Invoke))
		}
	})
}

type brokenLoad struct{ load }

func (brokenLoad) Bind(c io.Closer) (workloads.Client, error) {
	c.(*conn).broken = true
	return c.(*conn), nil
}

// fault records what is done to it.
type fault struct {
	log      []string
	failHeal int
	lapses   bool
	panics   bool
}

func (f *fault) Name() string                      { return "fault:x" }
func (f *fault) Applicable(*cluster.Cluster) error { return nil }
func (f *fault) Draw(context.Context, *cluster.Cluster, *rand.Rand, []string) (nemesis.Action, error) {
	return nemesis.Action{Fault: f.Name(),
		Do: func(context.Context) (string, bool, error) {
			f.log = append(f.log, "inject")
			if f.panics {
				panic("boom")
			}
			return "yes", true, nil
		},
		Check: func(context.Context) (string, bool, error) { return "checked", !f.lapses, nil },
		Undo: func(context.Context) (string, bool, error) {
			f.log = append(f.log, "undo")
			f.failHeal--
			return "gone", f.failHeal < 0, nil
		}}, nil
}

func TestNemesisInjectsAndHealsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		f := &fault{failHeal: 2}
		c := config(newSystem(sleepy(100*time.Millisecond)), &j)
		c.Schedule = nemesis.Schedule{{At: 2 * time.Second, For: 3 * time.Second, Fault: f}}
		harness.Run(t.Context(), t.Context(), c)
		if !slices.Equal(f.log, []string{"inject", "undo", "undo", "undo"}) {
			t.Errorf("log %v: the heal must be tried until it is proven", f.log)
		}
		ws := history.Windows(&history.History{Events: j.events})
		if len(ws) != 1 || ws[0].Start != 2*time.Second || ws[0].Stop != 5*time.Second || !ws[0].Proven || !ws[0].Healed {
			t.Errorf("windows %+v", ws)
		}
		if w := ws[0]; w.State != history.InForce || w.Last.Proof != "checked" || w.After.State != history.Healed || w.After.Proof != "gone" {
			t.Errorf("states %s, %s, %s", w.State, w.Last.Proof, w.After.State)
		}
		if j.flushes == 0 {
			t.Error("the journal was not flushed at the end of the fault")
		}
	})
}

func TestFaultThatLapsedIsNotProven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		c := config(newSystem(sleepy(100*time.Millisecond)), &j)
		c.Schedule = nemesis.Schedule{{At: time.Second, For: time.Second, Fault: &fault{lapses: true}}}
		harness.Run(t.Context(), t.Context(), c)
		h := &history.History{Events: j.events}
		ws := history.Windows(h)
		if len(ws) != 1 || !strings.Contains(ws[0].StopErr, "not in force to its end") {
			t.Fatalf("windows %+v", ws)
		}
		if res := checker.Run(t.Context(), strength.NewFaults(strength.FaultsOptions{}), h); res.Verdict != checker.Unknown {
			t.Errorf("got %v: %s", res.Verdict, res.Reason)
		}
	})
}

func TestStopHealsAtOnceAndStillReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		f := &fault{}
		s := newSystem(sleepy(100 * time.Millisecond))
		c := config(s, &j)
		c.Schedule = nemesis.Schedule{{At: 1 * time.Second, For: 8 * time.Second, Fault: f}}
		stop, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		out := harness.Run(t.Context(), stop, c)
		if !out.Interrupted || !slices.Equal(f.log, []string{"inject", "undo"}) || out.Duration > 5*time.Second {
			t.Errorf("outcome %+v, fault %v", out, f.log)
		}
		finals := 0
		for _, e := range j.events {
			if e.F == "final" && e.Kind == history.OK {
				finals++
			}
		}
		if finals != 4 || s.readies != 1 {
			t.Errorf("%d final reads, asked %d times whether ready", finals, s.readies)
		}
	})
}

func TestSecondStopCutsCallsShortButHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		f := &fault{}
		c := config(newSystem(sleepy(time.Hour)), &j)
		c.Plan.OpTimeout = time.Hour
		c.Schedule = nemesis.Schedule{{At: 1 * time.Second, For: 8 * time.Second, Fault: f}}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		out := harness.Run(ctx, ctx, c)
		if !out.Interrupted || !slices.Equal(f.log, []string{"inject", "undo"}) || out.Duration != 3*time.Second {
			t.Errorf("outcome %+v, fault %v", out, f.log)
		}
		if j.count(history.Info) != 4 {
			t.Errorf("%d calls cut short are info, want 4", j.count(history.Info))
		}
	})
}

func TestPanicOfAFaultIsHealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		c := config(newSystem(sleepy(100*time.Millisecond)), &j)
		c.Schedule = nemesis.Schedule{{At: time.Second, For: time.Second, Fault: &fault{panics: true}}}
		harness.Run(t.Context(), t.Context(), c)
		ws := history.Windows(&history.History{Events: j.events})
		if len(ws) != 1 || !strings.Contains(ws[0].StartErr, "boom") || ws[0].Proven {
			t.Errorf("windows %+v", ws)
		}
	})
}

func TestJournalThatCannotWriteEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := tape{fail: errors.New("disk is full")}
		out := harness.Run(t.Context(), t.Context(), config(newSystem(sleepy(100*time.Millisecond)), &j))
		if len(out.Problems) == 0 || !strings.Contains(out.Problems[0], "disk is full") || len(j.events) > 20 {
			t.Errorf("outcome %+v after %d events", out, len(j.events))
		}
	})
}

func TestSameSeedSameSchedule(t *testing.T) {
	kinds := []nemesis.Kind{nemesis.Partition(), nemesis.Kill(), nemesis.Mix()}
	p := plan.Default()
	p.Faults = []plan.Fault{{Name: "partition"}, {Name: "kill"}, {Name: "kill:all", At: time.Second, Once: true, For: time.Second},
		{Name: "mix(partition, kill)", Every: 7 * time.Second, Jitter: 0.1, From: 20 * time.Second}}
	p.Fill()
	draw := func(seed uint64) string {
		p.Seed = seed
		s, err := harness.Schedule(p, kinds)
		if err != nil {
			t.Fatal(err)
		}
		return s.String()
	}
	first, again, other := draw(1), draw(1), draw(2)
	if first != again || first == other {
		t.Errorf("schedules: %s\n%s\n%s", first, again, other)
	}
}

func TestFlipFlopIsExact(t *testing.T) {
	p := plan.Default()
	p.Faults = []plan.Fault{{Name: "kill", Every: 10 * time.Second, For: 5 * time.Second, Steady: true, From: 10 * time.Second, Until: 40 * time.Second}}
	s, err := harness.Schedule(p, []nemesis.Kind{nemesis.Kill()})
	if want := "kill 5s @15s\nkill 5s @25s\n"; err != nil || s.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, s, want)
	}
}

func TestFaultsOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		c := config(newSystem(sleepy(100*time.Millisecond)), &j)
		c.Schedule = nemesis.Schedule{{At: 1 * time.Second, For: 4 * time.Second, Fault: &fault{}}, {At: 2 * time.Second, For: 1 * time.Second, Fault: &fault{}}}
		if out := harness.Run(t.Context(), t.Context(), c); len(out.Problems) > 0 {
			t.Error(out.Problems)
		}
		ws := history.Windows(&history.History{Events: j.events})
		if len(ws) != 2 || ws[0].Stop != 5*time.Second || ws[1].Start != 2*time.Second || ws[1].End != 3*time.Second || !ws[0].Healed || !ws[1].Healed {
			t.Errorf("windows %+v", ws)
		}
	})
}

func TestTriggers(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"op:41": time.Second, "info": 2 * time.Second, "info:5": 3 * time.Second, "leader-change": 4 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			var j tape
			began := time.Now()
			s := newSystem(sleepy(100 * time.Millisecond))
			s.cluster.Primaries = func(context.Context) ([]string, error) {
				switch since := time.Since(began); {
				case since < 3*time.Second:
					return []string{"n1"}, nil
				case since < 4*time.Second:
					return nil, nil // an election
				}
				return []string{"n2"}, nil
			}
			s.invoke = func(ctx context.Context, op gen.Op) (json.RawMessage, error) {
				err := ctx.Err()
				time.Sleep(100 * time.Millisecond)
				if at := time.Since(began); at == 2*time.Second || at == 3*time.Second {
					err = errors.New("nobody knows")
				}
				return nil, err
			}
			c := config(s, &j)
			on, err := plan.ParseTrigger(text)
			if err != nil {
				t.Fatal(err)
			}
			c.Schedule = nemesis.Schedule{{On: on, For: time.Second, Fault: &fault{}}}
			out := harness.Run(t.Context(), t.Context(), c)
			ws := history.Windows(&history.History{Events: j.events})
			if len(out.Problems) > 0 || len(ws) != 1 {
				t.Fatalf("%s: problems %v, windows %v", text, out.Problems, ws)
			}
			// It is looked at now and then.
			if late := ws[0].Begin - want; late < 0 || late > 101*time.Millisecond || ws[0].Stop != ws[0].Begin+time.Second {
				t.Errorf("%s: from %v to %v, want %v", text, ws[0].Begin, ws[0].Stop, want)
			}
		})
	}
}

func TestTriggerThatNeverComesIsAProblem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j tape
		c := config(newSystem(sleepy(100*time.Millisecond)), &j)
		c.Schedule = nemesis.Schedule{{On: plan.Trigger{Event: plan.NthInfo, N: 3}, For: time.Second, Fault: &fault{}}}
		out := harness.Run(t.Context(), t.Context(), c)
		if len(out.Problems) != 1 || !strings.Contains(out.Problems[0], "never began: there were 0 of 3") {
			t.Errorf("problems %v", out.Problems)
		}
	})
}

// BenchmarkCall is what one call costs the harness: a client that does
// nothing, in real time, everything but the disk.
func BenchmarkCall(b *testing.B) {
	for _, workers := range []int{1, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			s := newSystem(func(context.Context, gen.Op) (json.RawMessage, error) { return nil, nil })
			loop := &harness.Loop{Runtime: harness.RealTime(), Nodes: s.cluster.Nodes, Concurrency: workers,
				OpTimeout: time.Second, Open: s.Open, Bind: load{}.Bind, Journal: discard{}}
			loop.Start()
			defer loop.Close()
			src := gen.Limit(b.N, load{}.Source(workloads.Params{}))
			b.ReportAllocs()
			b.ResetTimer()
			if err := loop.Drive(b.Context(), b.Context(), src); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

type discard struct{}

func (discard) Append(history.Event) error { return nil }
func (discard) Flush() error               { return nil }
