package docker_test

import (
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/docker"
)

// shaped are links of one shape.
func shaped(s cluster.Shape, pairs ...string) cluster.LinkState {
	state := cluster.LinkState{Shape: map[cluster.Link]cluster.Shape{}}
	for l := range links(pairs...).Cut {
		state.Shape[l] = s
	}
	return state
}

// measure sends canaries over a link, one each millisecond.
func measure(t testing.TB, c *docker.Cluster, l cluster.Link, n int) cluster.Quality {
	t.Helper()
	q, err := c.Net.Measure(t.Context(), []cluster.Link{l}, n, time.Duration(n)*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	return q[l]
}

func bring(t testing.TB, c *docker.Cluster, s cluster.LinkState) {
	t.Helper()
	if err := c.Net.Can(s); err != nil {
		t.Fatal(err)
	}
	if err := c.Net.Apply(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// TestShapes measures what every shape does to its link, each at its
// receiver, from a client, and to one.
func TestShapes(t *testing.T) {
	c := testCluster(t, testEngine(t), docker.Bare(2))
	between := func(low, high time.Duration) func(cluster.Quality) bool {
		return func(q cluster.Quality) bool { return q.Arrived == q.Sent && q.P50 >= low && q.P50 <= high }
	}
	share := func(n int, q cluster.Quality) float64 { return float64(n) / float64(q.Sent) }
	for _, tt := range []struct {
		name  string
		shape cluster.Shape
		ok    func(cluster.Quality) bool
	}{
		{"delay", cluster.Shape{Delay: 50 * ms}, between(50*ms, 55*ms)},
		{"uniform jitter", cluster.Shape{Delay: 30 * ms, Jitter: 20 * ms}, func(q cluster.Quality) bool {
			return between(26*ms, 36*ms)(q) && q.Min >= 10*ms && q.Min < 15*ms && q.Max > 45*ms && q.Reordered > q.Sent/3
		}},
		{"normal jitter", cluster.Shape{Delay: 50 * ms, Jitter: 10 * ms, Distribution: cluster.Normal}, func(q cluster.Quality) bool {
			return between(47*ms, 54*ms)(q) && q.Min < 35*ms && q.P99 > 65*ms
		}},
		{"pareto jitter", cluster.Shape{Delay: 10 * ms, Jitter: 10 * ms, Distribution: cluster.Pareto}, func(q cluster.Quality) bool {
			return between(11*ms, 17*ms)(q) && q.Min >= 10*ms && q.P99 > 35*ms
		}},
		{"loss", cluster.Shape{Loss: 0.2}, func(q cluster.Quality) bool {
			lost := share(q.Sent-q.Arrived, q)
			return lost > 0.15 && lost < 0.25
		}},
		{"late loss", cluster.Shape{Delay: 5 * ms, Loss: 0.2}, func(q cluster.Quality) bool {
			lost := share(q.Sent-q.Arrived, q)
			return lost > 0.15 && lost < 0.25 && q.P50 >= 5*ms
		}},
		{"duplicates", cluster.Shape{Duplicate: 0.3}, func(q cluster.Quality) bool {
			d := share(q.Duplicates, q)
			return q.Arrived == q.Sent && d > 0.24 && d < 0.36
		}},
		{"reordering", cluster.Shape{Delay: 10 * ms, Reorder: 0.2}, func(q cluster.Quality) bool {
			return between(10*ms, 15*ms)(q) && q.Min < 5*ms && q.Reordered > q.Sent/2
		}},
		{"corruption", cluster.Shape{Corrupt: 0.2}, func(q cluster.Quality) bool {
			lost := share(q.Sent-q.Arrived, q)
			return q.Corrupted == 0 && lost > 0.15 && lost < 0.25
		}},
		{"disguised corruption", cluster.Shape{Corrupt: 0.2, Disguise: true}, func(q cluster.Quality) bool {
			bad := share(q.Corrupted, q)
			return q.Sent-q.Arrived < q.Sent/100 && bad > 0.15 && bad < 0.25
		}},
		{"rate", cluster.Shape{Rate: 2_000_000}, func(q cluster.Quality) bool {
			// 540 bytes each millisecond are more than twice that: 460 ms of 1000
			// pass, and wait for up to half a second.
			passed := share(q.Arrived, q)
			return passed > 0.55 && passed < 0.85 && q.Max > 400*ms
		}},
	} {
		for _, pair := range []string{"n1>n2", "clients>n1", "n1>clients"} {
			t.Run(tt.name+" "+pair, func(t *testing.T) {
				l := link(pair)
				bring(t, c, shaped(tt.shape, pair))
				eventually(t, func() (bool, cluster.Quality) {
					q := measure(t, c, l, 1000)
					return tt.ok(q), q
				})
				back := cluster.Link{From: l.To, To: l.From}
				eventually(t, func() (bool, cluster.Quality) {
					q := measure(t, c, back, 100)
					return q.Arrived == q.Sent && q.P50 <= 5*ms, q
				})
				counts, err := c.Net.Counters(t.Context())
				if err != nil || counts[l] < 1000 || counts[back] != 0 {
					t.Errorf("counters %v, %v", counts, err)
				}
			})
		}
	}
	bring(t, c, cluster.LinkState{})
	eventually(t, func() (bool, cluster.Quality) {
		q := measure(t, c, link("n1>n2"), 200)
		return q.Arrived == q.Sent && q.P50 <= 2*ms, q
	})
}

// eventually measures again what a machine with too much to do has blurred: a
// shape that is wrong is wrong each time.
func eventually(t *testing.T, measure func() (bool, cluster.Quality)) {
	t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		ok, q := measure()
		t.Logf("%+v", q)
		if ok {
			return
		}
		if try == tries {
			t.Errorf("measured %d times as it should not be, at last %+v", tries, q)
			return
		}
	}
}

// link reads FROM>TO.
func link(pair string) cluster.Link {
	for l := range links(pair).Cut {
		return l
	}
	panic("no link")
}
