package sim_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/sim"
)

const ms = time.Millisecond

func TestEventsRunByTimeThenOrder(t *testing.T) {
	k := sim.New()
	var got []string
	note := func(s string) func() { return func() { got = append(got, fmt.Sprint(s, "@", k.Now())) } }
	k.After(2*ms, note("c"))
	k.After(1*ms, note("a"))
	k.After(1*ms, note("b"))
	gone := k.After(1*ms, note("stopped"))
	gone.Stop()
	gone.Stop()
	k.Wait(t.Context(), 5*ms)
	if want := []string{"a@1ms", "b@1ms", "c@2ms"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if k.Now() != 5*ms {
		t.Errorf("now %v after Wait until 5ms", k.Now())
	}
}

// A timer that is stopped after its slot was taken by another event must leave
// that one alone.
func TestStopOfAnOldTimer(t *testing.T) {
	k := sim.New()
	old := k.After(ms, func() {})
	k.Wait(t.Context(), 2*ms)
	ran := false
	k.After(ms, func() { ran = true })
	old.Stop()
	k.Wait(t.Context(), 5*ms)
	if !ran {
		t.Error("the stop of an old timer took a new event")
	}
}

func TestQueueKeepsOrderUnderLoad(t *testing.T) {
	k := sim.New()
	last, ran := time.Duration(-1), 0
	for i := range 5000 {
		timer := k.After(time.Duration(i*7919%1009)*ms, func() {
			if k.Now() < last {
				t.Fatalf("%v after %v", k.Now(), last)
			}
			last = k.Now()
			ran++
		})
		if i%3 == 0 {
			timer.Stop()
		}
	}
	k.Wait(t.Context(), time.Hour)
	if ran != 5000-1667 {
		t.Errorf("%d events ran", ran)
	}
}

func TestTasksTakeTurns(t *testing.T) {
	k := sim.New()
	defer k.Close()
	var got []string
	for _, name := range []string{"a", "b"} {
		k.Go(func() {
			for i := range 3 {
				got = append(got, fmt.Sprint(name, i))
				if err := k.Sleep(t.Context(), ms); err != nil {
					t.Error(err)
				}
			}
			k.Wake()
		})
	}
	k.Wait(t.Context(), time.Hour)
	if want := []string{"a0", "b0", "a1", "b1", "a2", "b2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if k.Now() != 3*ms {
		t.Errorf("now %v, want 3ms: Wake ends Wait at once", k.Now())
	}
}

func TestOwnerSleeps(t *testing.T) {
	k := sim.New()
	ticks := 0
	var tick func()
	tick = func() { ticks++; k.After(ms, tick) }
	tick()
	if err := k.Sleep(t.Context(), 10*ms); err != nil {
		t.Fatal(err)
	}
	if k.Now() != 10*ms || ticks < 10 {
		t.Errorf("now %v, %d ticks", k.Now(), ticks)
	}
}

func TestWakeBeforeWait(t *testing.T) {
	k := sim.New()
	k.Wake()
	k.Wait(t.Context(), time.Hour)
	if k.Now() != 0 {
		t.Errorf("Wait did not see an earlier Wake: now %v", k.Now())
	}
}

func TestTimeoutIsVirtual(t *testing.T) {
	k := sim.New()
	ctx, cancel := k.WithTimeout(t.Context(), 5*ms)
	defer cancel()
	if err := k.Sleep(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if k.Now() != 5*ms {
		t.Errorf("now %v, want 5ms", k.Now())
	}
	select {
	case <-ctx.Done():
	default:
		t.Error("Done is open after the deadline")
	}
}

func TestContextsEndWithTheirParents(t *testing.T) {
	for name, derive := range map[string]func(context.Context, *sim.Kernel) (context.Context, context.CancelFunc){
		"virtual": func(ctx context.Context, k *sim.Kernel) (context.Context, context.CancelFunc) {
			return k.WithTimeout(ctx, time.Hour)
		},
		"standard": func(ctx context.Context, _ *sim.Kernel) (context.Context, context.CancelFunc) {
			return context.WithCancel(ctx)
		},
		"wrapped": func(ctx context.Context, _ *sim.Kernel) (context.Context, context.CancelFunc) {
			return context.WithValue(ctx, testKey{}, 1), func() {}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := sim.New()
			before := runtime.NumGoroutine()
			parent, cancel := k.WithTimeout(context.Background(), 5*ms)
			defer cancel()
			child, stop := derive(parent, k)
			defer stop()
			if n := runtime.NumGoroutine(); n != before {
				t.Errorf("%d goroutines to watch contexts", n-before)
			}
			err := k.Sleep(child, time.Minute)
			if !errors.Is(err, context.DeadlineExceeded) || k.Now() != 5*ms {
				t.Errorf("error %v at %v", err, k.Now())
			}
		})
	}
}

// A stop of the run is a plain context that its owner cancels: sleepers must
// hear of it at that instant of virtual time.
func TestPlainCancelWakesSleepers(t *testing.T) {
	for _, under := range []string{"plain", "below a timeout"} {
		t.Run(under, func(t *testing.T) {
			k := sim.New()
			defer k.Close()
			ctx, cancel := context.WithCancel(context.Background())
			woken := time.Duration(-1)
			k.Go(func() {
				own := ctx
				if under != "plain" {
					var stop context.CancelFunc
					own, stop = k.WithTimeout(ctx, time.Hour)
					defer stop()
				}
				if err := k.Sleep(own, time.Minute); !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				woken = k.Now()
			})
			k.Wait(t.Context(), 5*ms)
			cancel()
			k.Wait(t.Context(), 10*ms)
			if woken != 5*ms {
				t.Errorf("woken at %v, want 5ms", woken)
			}
		})
	}
}

func TestOwnerHearsOfItsContext(t *testing.T) {
	k := sim.New()
	var tick func()
	tick = func() { k.After(ms, tick) }
	tick()
	ctx, cancel := context.WithTimeout(context.Background(), 20*ms)
	defer cancel()
	if err := k.Sleep(ctx, 1<<62); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestIdleIsAnError(t *testing.T) {
	k := sim.New()
	k.Wait(t.Context(), 1<<63-1) // returns: nothing can happen
	w := sim.NewWorld(sim.Config{Nodes: []string{"n1"}}, func(*sim.Env) sim.Server { return mute{} })
	c, err := w.Dial(t.Context(), "n1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Call(t.Context(), "hello"); !errors.Is(err, sim.ErrIdle) {
		t.Errorf("error %v", err)
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		k := sim.New()
		unwound := 0
		for i := range 10 {
			k.Go(func() {
				defer func() { unwound++ }()
				if i < 5 {
					// A task that gives up late must not stay either.
					defer func() { _ = k.Sleep(context.Background(), time.Hour) }()
				}
				for {
					_ = k.Sleep(context.Background(), time.Hour)
				}
			})
		}
		k.Go(func() {})
		k.Wait(t.Context(), time.Minute)
		k.Go(func() { t.Error("a task began after Close") })
		k.Close()
		if unwound != 10 {
			t.Fatalf("%d of 10 tasks unwound", unwound)
		}
		if err := k.Sleep(t.Context(), ms); !errors.Is(err, sim.ErrClosed) {
			t.Errorf("sleep after Close: %v", err)
		}
		k.Go(func() { t.Error("a task began after Close") })
	}
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * ms)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

func TestPanicReachesTheOwner(t *testing.T) {
	k := sim.New()
	k.Go(func() { panic("boom") })
	defer func() {
		if p := recover(); p != "boom" {
			t.Errorf("recovered %v", p)
		}
	}()
	k.Wait(t.Context(), ms)
}

func BenchmarkEvents(b *testing.B) {
	k := sim.New()
	// A thousand timers in flight, as in a busy cluster.
	left := b.N
	var tick func()
	tick = func() {
		if left--; left > 0 {
			k.After(time.Duration(left*7919%1009)*time.Microsecond, tick)
		}
	}
	for range 1000 {
		k.After(0, tick)
	}
	b.ReportAllocs()
	k.Wait(b.Context(), 1<<63-1)
	b.ReportMetric(float64(k.Events())/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkSleep(b *testing.B) {
	k := sim.New()
	defer k.Close()
	k.Go(func() {
		for range b.N {
			_ = k.Sleep(context.Background(), ms)
		}
		k.Wake()
	})
	b.ReportAllocs()
	k.Wait(b.Context(), 1<<63-1)
}

func BenchmarkMessages(b *testing.B) {
	left := b.N
	w := sim.NewWorld(sim.LAN(1, []string{"n1", "n2", "n3", "n4", "n5"}), func(env *sim.Env) sim.Server {
		s := &echo{env: env, left: &left}
		if env.ID() == 0 {
			for i := range 200 {
				env.Send(1+i%4, "ball")
			}
		}
		return s
	})
	defer w.Close()
	b.ReportAllocs()
	b.ResetTimer()
	w.Wait(b.Context(), 1<<63-1)
	b.ReportMetric(float64(w.Events())/b.Elapsed().Seconds(), "events/s")
}

// mute never answers; echo sends messages back until there were enough.
type mute struct{}

func (mute) Receive(int, any)  {}
func (mute) Request(*sim.Call) {}

type echo struct {
	env  *sim.Env
	left *int
}

func (e *echo) Receive(from int, msg any) {
	if *e.left--; *e.left > 0 {
		e.env.Send(from, msg)
	}
}

func (e *echo) Request(c *sim.Call) { c.Reply(c.Body) }

type testKey struct{}
