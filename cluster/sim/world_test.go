package sim_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/sim"
	"github.com/capstan-dev/capstan/history"
)

// diary notes all that happens to a node, with the time.
type diary struct {
	env   *sim.Env
	lines *[]string
}

func (d *diary) note(format string, args ...any) {
	*d.lines = append(*d.lines, fmt.Sprintf("%v %s ", d.env.Now(), d.env.Name(d.env.ID()))+fmt.Sprintf(format, args...))
}

func (d *diary) Receive(from int, msg any) { d.note("got %v from %s", msg, d.env.Name(from)) }

func (d *diary) Request(c *sim.Call) {
	d.note("asked %v", c.Body)
	switch c.Body {
	case "silence":
	case "save":
		d.env.Append(c.Body)
		d.env.Sync(func() { c.Reply("saved") })
	case "write":
		d.env.Append(c.Body)
		c.Reply("written")
	case "timer":
		d.env.After(50*ms, func() { d.note("timer") })
		c.Reply("set")
	case "crash":
		d.env.Crash("told to")
		d.env.Send(1, "from the grave")
	default:
		c.Reply(c.Body)
	}
}

func world(t testing.TB, change func(*sim.Config)) (*sim.World, *[]string) {
	var lines []string
	cfg := sim.Config{
		Seed:   1,
		Nodes:  []string{"n1", "n2", "n3"},
		Link:   sim.Delay{Base: 10 * ms},
		Client: sim.Delay{Base: ms},
		Sync:   sim.Delay{Base: 5 * ms},
		Boot:   100 * ms,
	}
	if change != nil {
		change(&cfg)
	}
	w := sim.NewWorld(cfg, func(env *sim.Env) sim.Server {
		d := &diary{env, &lines}
		d.note("boots with %v", env.Records())
		return d
	})
	t.Cleanup(w.Close)
	return w, &lines
}

func dial(t testing.TB, w *sim.World, node string) *sim.Client {
	t.Helper()
	c, err := w.Dial(t.Context(), node, 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func call(t testing.TB, w *sim.World, c *sim.Client, body string) error {
	t.Helper()
	ctx, cancel := w.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Call(ctx, body)
	return err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestCallTakesTheLinksTime(t *testing.T) {
	w, _ := world(t, nil)
	c := dial(t, w, "n1")
	start := w.Now()
	must(t, call(t, w, c, "hello"))
	if took := w.Now() - start; took != 2*ms {
		t.Errorf("took %v, want 2ms", took)
	}
}

func TestCutIsOneWayAndTakesWhatIsInFlight(t *testing.T) {
	var got []string
	w, _ := world(t, func(c *sim.Config) {
		c.Trace = func(at time.Duration, from, to int, msg any) {
			got = append(got, fmt.Sprint(at, " ", from, ">", to, " ", msg))
		}
	})
	n := senders(w)
	n[0].Send(1, "before") // arrives at 10 ms
	w.Wait(t.Context(), 5*ms)
	must(t, w.Cluster().Net.Apply(t.Context(), cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{{From: "n1", To: "n2"}: cluster.Drop}}))
	n[1].Send(0, "back")
	n[0].Send(2, "aside")
	w.Wait(t.Context(), 20*ms)
	n[0].Send(1, "cut at sending, healed at arrival")
	w.Wait(t.Context(), 25*ms)
	must(t, w.Cluster().Net.Apply(t.Context(), cluster.LinkState{}))
	w.Wait(t.Context(), 50*ms)
	want := []string{"15ms 1>0 back", "15ms 0>2 aside", "30ms 0>1 cut at sending, healed at arrival"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// senders boots nothing: it finds the nodes' doors through their diaries.
func senders(w *sim.World) []*sim.Env { return w.Envs() }

func TestProbeTellsDirectionsApart(t *testing.T) {
	for _, loss := range []float64{0, 0.3} {
		w, _ := world(t, func(c *sim.Config) { c.Loss = loss; c.Link.Jitter = 3 * ms })
		net := w.Cluster().Net
		cut := map[cluster.Link]cluster.Cut{{From: "n1", To: "n2"}: cluster.Drop, {From: "n3", To: "n1"}: cluster.Drop}
		must(t, net.Apply(t.Context(), cluster.LinkState{Cut: cut}))
		// A probe speaks of the links, also of those to a dead process.
		must(t, w.Cluster().Procs.Kill(t.Context(), "n2"))
		reach, err := net.Probe(t.Context())
		must(t, err)
		if len(reach) != 6+6 {
			t.Errorf("%d links probed", len(reach))
		}
		for l, ok := range reach {
			if ok == (cut[l] == cluster.Drop) {
				t.Errorf("loss %v: link %v: arrived %v, cut %v", loss, l, ok, cut[l])
			}
		}
	}
}

func TestApplyRefusesUnknownLinks(t *testing.T) {
	w, _ := world(t, nil)
	err := w.Cluster().Net.Apply(t.Context(), cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{{From: "n1", To: "n9"}: cluster.Drop}})
	if err == nil {
		t.Error("no error")
	}
}

func TestKillLosesWhatWasNotSynced(t *testing.T) {
	w, lines := world(t, nil)
	procs := w.Cluster().Procs
	c := dial(t, w, "n1")
	must(t, call(t, w, c, "save"))
	must(t, call(t, w, c, "write"))
	must(t, procs.Kill(t.Context(), "n1"))
	must(t, procs.Kill(t.Context(), "n1"))
	if s, err := procs.State(t.Context(), "n1"); err != nil || s != cluster.Dead {
		t.Errorf("state %v, %v", s, err)
	}
	must(t, procs.Start(t.Context(), "n1"))
	if s, _ := procs.State(t.Context(), "n1"); s != cluster.Running {
		t.Errorf("state %v", s)
	}
	if last := (*lines)[len(*lines)-1]; !strings.HasSuffix(last, "n1 boots with [save]") {
		t.Errorf("last line %q", last)
	}
}

func TestDeadNodesRefuseAndDyingOnesReset(t *testing.T) {
	w, lines := world(t, nil)
	procs := w.Cluster().Procs
	c := dial(t, w, "n1")
	must(t, call(t, w, c, "timer"))
	w.Go(func() {
		_ = w.Sleep(context.Background(), 10*ms)
		must(t, procs.Kill(t.Context(), "n1"))
	})
	err := call(t, w, c, "silence")
	if err == nil || errors.Is(err, history.ErrNotApplied) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call of a node that dies: %v", err)
	}
	if err := call(t, w, c, "hello"); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("a call of a dead node: %v", err)
	}
	if _, err := w.Dial(t.Context(), "n1", 0); !errors.Is(err, history.ErrNotApplied) {
		t.Errorf("dial a dead node: %v", err)
	}
	must(t, procs.Start(t.Context(), "n1"))
	must(t, w.Sleep(t.Context(), time.Second))
	for _, l := range *lines {
		if strings.Contains(l, "n1 timer") {
			t.Error("the timer of a dead process ran")
		}
	}
}

func TestPausedNodesAreLate(t *testing.T) {
	w, lines := world(t, nil)
	procs := w.Cluster().Procs
	c := dial(t, w, "n1")
	must(t, call(t, w, c, "timer"))
	must(t, procs.Pause(t.Context(), "n1"))
	if s, _ := procs.State(t.Context(), "n1"); s != cluster.Paused {
		t.Errorf("state %v", s)
	}
	err := call(t, w, c, "late")
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, history.ErrNotApplied) {
		t.Errorf("a call of a paused node: %v", err)
	}
	before := len(*lines)
	resumed := w.Now()
	must(t, procs.Resume(t.Context(), "n1"))
	must(t, procs.Resume(t.Context(), "n1"))
	want := []string{fmt.Sprint(resumed, " n1 asked late"), fmt.Sprint(resumed, " n1 timer")}
	got := slices.Clone((*lines)[before:])
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	must(t, procs.Pause(t.Context(), "n1"))
	must(t, procs.Kill(t.Context(), "n1"))
	if err := procs.Resume(t.Context(), "n1"); err == nil {
		t.Error("resumed a dead process")
	}
	if err := procs.Pause(t.Context(), "n1"); err == nil {
		t.Error("paused a dead process")
	}
}

func TestCrashedProcessesComeBack(t *testing.T) {
	w, lines := world(t, nil)
	c := dial(t, w, "n1")
	if err := call(t, w, c, "crash"); err == nil || errors.Is(err, history.ErrNotApplied) {
		t.Errorf("error %v", err)
	}
	must(t, w.Sleep(t.Context(), 2*time.Second))
	must(t, call(t, w, c, "hello"))
	if all := strings.Join(*lines, "\n"); strings.Contains(all, "grave") {
		t.Errorf("a dead process sent a message:\n%s", all)
	}
	if log := string(w.Log("n1")); !strings.Contains(log, "crashed: told to") {
		t.Errorf("log:\n%s", log)
	}
}

func TestClocksGoWrong(t *testing.T) {
	w, _ := world(t, nil)
	clocks := w.Cluster().Clocks
	for _, skew := range []time.Duration{-3 * time.Second, 0} {
		must(t, clocks.Skew(t.Context(), "n2", cluster.Skew{Offset: skew}))
		for node, want := range map[string]time.Duration{"n1": 0, "n2": skew} {
			if got, err := clocks.Offset(t.Context(), node); err != nil || got != want {
				t.Errorf("offset of %s is %v, %v; want %v", node, got, err, want)
			}
		}
	}
}

func TestUnknownNodes(t *testing.T) {
	w, _ := world(t, nil)
	c := w.Cluster()
	ctx := t.Context()
	_, stateErr := c.Procs.State(ctx, "n9")
	_, offsetErr := c.Clocks.Offset(ctx, "n9")
	_, dialErr := w.Dial(ctx, "n9", 0)
	for i, err := range []error{
		c.Procs.Kill(ctx, "n9"), c.Procs.Start(ctx, "n9"), c.Procs.Pause(ctx, "n9"), c.Procs.Resume(ctx, "n9"),
		c.Clocks.Skew(ctx, "n9", cluster.Skew{Offset: 0}), stateErr, offsetErr, dialErr,
	} {
		if err == nil {
			t.Errorf("no error from call %d", i)
		}
	}
}

// gossiper sends to random peers, loses some, and is killed and paused.
type gossiper struct {
	env *sim.Env
	n   int
}

func (g *gossiper) beat() {
	g.env.After(time.Duration(1+g.env.Rand().IntN(5))*ms, g.beat)
	g.n++
	g.env.Append(g.n)
	n := g.n
	g.env.Sync(func() { g.env.Send(g.env.Rand().IntN(g.env.Size()), n) })
}

func (g *gossiper) Receive(int, any) {}

func (g *gossiper) Request(c *sim.Call) { c.Reply(g.n) }

func deliveries(t *testing.T, seed uint64) []string {
	var all []string
	cfg := sim.LAN(seed, []string{"n1", "n2", "n3", "n4", "n5"})
	cfg.Loss, cfg.Duplicate = 0.05, 0.05
	cfg.Trace = func(at time.Duration, from, to int, msg any) {
		all = append(all, fmt.Sprint(at, from, to, msg))
	}
	w := sim.NewWorld(cfg, func(env *sim.Env) sim.Server {
		g := &gossiper{env: env}
		g.beat()
		return g
	})
	defer w.Close()
	for p := range 4 {
		w.Go(func() {
			c, err := w.Dial(t.Context(), fmt.Sprint("n", p+1), p)
			for err == nil {
				var v any
				if v, err = c.Call(t.Context(), nil); err == nil {
					all = append(all, fmt.Sprint(w.Now(), "client", p, v))
				}
			}
		})
	}
	ctx, c := t.Context(), w.Cluster()
	must(t, w.Sleep(ctx, 200*ms))
	must(t, c.Procs.Kill(ctx, "n2"))
	must(t, c.Procs.Pause(ctx, "n3"))
	must(t, w.Sleep(ctx, 200*ms))
	_, err := c.Net.Probe(ctx)
	must(t, err)
	must(t, c.Procs.Start(ctx, "n2"))
	must(t, c.Procs.Resume(ctx, "n3"))
	must(t, w.Sleep(ctx, 200*ms))
	return all
}

func TestSameSeedSameDeliveries(t *testing.T) {
	a, b := deliveries(t, 7), deliveries(t, 7)
	if len(a) < 500 {
		t.Errorf("only %d deliveries", len(a))
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("the same seed gave two different runs")
	}
	if slices.Equal(a, deliveries(t, 8)) {
		t.Error("two seeds gave the same run")
	}
}

func TestLinksKeepOrder(t *testing.T) {
	var got []any
	w, _ := world(t, func(c *sim.Config) {
		c.Link.Jitter = 20 * ms
		c.Trace = func(_ time.Duration, _, _ int, msg any) { got = append(got, msg) }
	})
	for i := range 100 {
		senders(w)[0].Send(1, i)
	}
	w.Wait(t.Context(), time.Second)
	for i, msg := range got {
		if msg != i {
			t.Fatalf("message %v arrived as number %d", msg, i)
		}
	}
}
