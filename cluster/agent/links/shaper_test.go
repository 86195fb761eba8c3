package links

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

const ms = int64(time.Millisecond)

func newShaper() *shaper { return &shaper{rng: rand.New(rand.NewPCG(1, 2))} }

// delays of many packets that all come at the same time, long after each
// other.
func delays(c cluster.Shape, n int) (ds []float64, fates map[string]int) {
	s, l := newShaper(), &lane{shape: c}
	fates = map[string]int{}
	for i := range n {
		now := int64(i) * 1e12
		f := s.decide(l, now, 1000)
		for name, is := range map[string]bool{"drop": f.drop, "again": f.again, "corrupt": f.corrupt, "at once": f.at == now} {
			if is {
				fates[name]++
			}
		}
		ds = append(ds, float64(f.at-now)/1e6)
	}
	slices.Sort(ds)
	return ds, fates
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s is %.3f, want %.3f ± %.3f", what, got, want, tolerance)
	}
}

func TestDistributions(t *testing.T) {
	const n = 100_000
	mean := func(ds []float64) (sum float64) {
		for _, d := range ds {
			sum += d / float64(len(ds))
		}
		return sum
	}
	of := func(c cluster.Shape) []float64 { ds, _ := delays(c, n); return ds }
	delay, jitter := 50*time.Millisecond, 10*time.Millisecond

	ds := of(cluster.Shape{Delay: delay, Jitter: jitter})
	near(t, "uniform: least", ds[0], 40, 0.1)
	near(t, "uniform: median", ds[n/2], 50, 0.2)
	near(t, "uniform: most", ds[n-1], 60, 0.1)

	ds = of(cluster.Shape{Delay: delay, Jitter: jitter, Distribution: cluster.Normal})
	near(t, "normal: mean", mean(ds), 50, 0.2)
	near(t, "normal: one sigma below", ds[n*15866/100000], 40, 0.3)
	near(t, "normal: one sigma above", ds[n*84134/100000], 60, 0.3)

	ds = of(cluster.Shape{Delay: delay, Jitter: jitter, Distribution: cluster.Pareto})
	near(t, "pareto: least", ds[0], 50, 0.01)
	near(t, "pareto: mean", mean(ds), 55, 0.5)
	if ds[n-1] < 200 {
		t.Errorf("pareto: the longest of %d delays is %.0f ms", n, ds[n-1])
	}

	ds = of(cluster.Shape{Delay: time.Millisecond, Jitter: jitter})
	if ds[0] < 0 {
		t.Errorf("a packet left %v ms before it came", -ds[0])
	}
}

func TestProbabilities(t *testing.T) {
	const n = 100_000
	_, fates := delays(cluster.Shape{Delay: time.Second, Loss: 0.1, Duplicate: 0.2, Corrupt: 0.3, Reorder: 0.4}, n)
	near(t, "lost", float64(fates["drop"])/n, 0.1, 0.005)
	left := float64(n - fates["drop"])
	near(t, "duplicated", float64(fates["again"])/left, 0.2, 0.006)
	near(t, "corrupted", float64(fates["corrupt"])/left, 0.3, 0.006)
	near(t, "first", float64(fates["at once"])/left, 0.4, 0.006)
}

// TestRate: packets leave one behind the other, and those that would wait for
// too long do not.
func TestRate(t *testing.T) {
	s, l := newShaper(), &lane{shape: cluster.Shape{Rate: 8_000_000}} // 1000 bytes take 1 ms
	var passed, last int64
	for range 2000 {
		f := s.decide(l, 0, 1000)
		if f.drop {
			continue
		}
		if passed++; f.at != last+ms {
			t.Fatalf("packet %d leaves at %d, the one before at %d", passed, f.at, last)
		}
		last = f.at
	}
	if want := int64(longestLine)/ms + 1; passed != want {
		t.Errorf("%d packets are in line, want %d", passed, want)
	}
	if f := s.decide(l, 5e9, 1000); f.at != 5e9+ms {
		t.Errorf("after a rest a packet waits for %d", f.at-5e9)
	}
}

// drain takes all that is due.
func drain(s *shaper, now int64) (ids []uint32) {
	for {
		p, ok := s.due(now)
		if !ok {
			return ids
		}
		ids = append(ids, p.id)
	}
}

func TestLineIsInOrder(t *testing.T) {
	s, l := newShaper(), &lane{}
	for i, at := range []int64{30, 10, 20, 10, 30, 10} {
		s.keep(parcel{at: at, lane: l, id: uint32(i)})
	}
	if at, ok := s.next(); !ok || at != 10 {
		t.Errorf("next is at %d, %t", at, ok)
	}
	if got := drain(s, 9); got != nil {
		t.Errorf("too early: %v", got)
	}
	if got := drain(s, 29); !slices.Equal(got, []uint32{1, 3, 5, 2}) {
		t.Errorf("left: %v", got)
	}
	if got := drain(s, 30); !slices.Equal(got, []uint32{0, 4}) {
		t.Errorf("left then: %v", got)
	}
	if _, ok := s.next(); ok {
		t.Error("something waits still")
	}
}

func TestHold(t *testing.T) {
	s, held, other := newShaper(), &lane{hold: true}, &lane{}
	if f := s.decide(held, 1, 1); f.at != math.MaxInt64 || f.drop {
		t.Errorf("fate on a held link: %+v", f)
	}
	for i := range uint32(4) {
		s.keep(parcel{at: math.MaxInt64, lane: held, id: i, size: 100})
	}
	s.keep(parcel{at: 50, lane: other, id: 9})
	if got := drain(s, 1e15); !slices.Equal(got, []uint32{9}) {
		t.Errorf("left while held: %v", got)
	}
	held.hold = false
	s.release(held, 60, false)
	s.keep(parcel{at: 60, lane: held, id: 4}) // comes after the release
	if got := drain(s, 60); !slices.Equal(got, []uint32{0, 1, 2, 3, 4}) {
		t.Errorf("released: %v", got)
	}
	if s.held != 0 || s.heldBytes != 0 {
		t.Errorf("%d packets, %d bytes are said to be held", s.held, s.heldBytes)
	}
}

func TestHoldIsBounded(t *testing.T) {
	s, l := newShaper(), &lane{hold: true}
	for range mostHeld {
		if !s.keep(parcel{lane: l, size: 1}) {
			t.Fatal("no room")
		}
	}
	if s.keep(parcel{lane: l, size: 1}) || s.overflow != 1 {
		t.Errorf("too many are held, overflow %d", s.overflow)
	}
	if got := s.discard(l); len(got) != mostHeld || s.held != 0 || l.held != nil {
		t.Errorf("discarded %d, %d are held", len(got), s.held)
	}
	if s.keep(parcel{lane: l, size: mostHeldBytes + 1}) {
		t.Error("too much is held")
	}
}

// TestReleaseOfDelayed: at a heal what waits goes at once, in its order, and
// not what waits on other links.
func TestReleaseOfDelayed(t *testing.T) {
	s, healed, other := newShaper(), &lane{}, &lane{}
	for i, at := range []int64{500, 400, 600} {
		s.keep(parcel{at: at, lane: healed, id: uint32(i)})
	}
	s.keep(parcel{at: 450, lane: other, id: 9})
	s.release(healed, 100, true)
	if got := drain(s, 100); !slices.Equal(got, []uint32{0, 1, 2}) {
		t.Errorf("left: %v", got)
	}
	if got := drain(s, 450); !slices.Equal(got, []uint32{9}) {
		t.Errorf("of the other link left: %v", got)
	}
}

func BenchmarkShaper(b *testing.B) {
	s, l := newShaper(), &lane{shape: cluster.Shape{Delay: 50 * time.Millisecond, Jitter: 5 * time.Millisecond}}
	now := int64(0)
	for b.Loop() {
		now += 20_000 // 50,000 packets a second
		f := s.decide(l, now, 500)
		s.keep(parcel{at: f.at, lane: l})
		for {
			if _, ok := s.due(now); !ok {
				break
			}
		}
	}
}
