package links

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

const (
	// mostHeld and mostHeldBytes bound what all links of a node hold back.
	mostHeld      = 100_000
	mostHeldBytes = 256 << 20
	// longestLine is how long packets wait at most for a rate; those that would
	// wait longer are dropped, as by a router.
	longestLine = 500 * time.Millisecond
)

// lane is a link whose packets go through a queue.
type lane struct {
	peer  string
	hold  bool
	shape cluster.Shape

	free  int64 // when its rate lets the next packet begin
	held  []parcel
	count uint64 // of packets, since the lane is in force
}

// parcel is a packet that waits. Which one, the shaper need not know.
type parcel struct {
	at    int64 // when it goes on, in nanoseconds
	order uint64
	lane  *lane
	size  int
	id    uint32
	// data is its content where that is changed, or sent anew. out says that
	// the packet leaves the node.
	data      []byte
	anew, out bool
}

// shaper decides what happens to packets, and keeps those that wait. It knows
// no time but what it is told.
type shaper struct {
	rng   *rand.Rand
	line  parcels
	order uint64

	held, heldBytes int
	overflow        uint64
}

// fate of a packet.
type fate struct {
	drop, again, corrupt bool
	at                   int64
}

// decide draws the fate of a packet that came now.
func (s *shaper) decide(l *lane, now int64, size int) fate {
	l.count++
	if l.hold {
		return fate{at: math.MaxInt64}
	}
	c := l.shape
	if s.hit(c.Loss) {
		return fate{drop: true}
	}
	f := fate{again: s.hit(c.Duplicate), corrupt: s.hit(c.Corrupt), at: now}
	if c.Rate > 0 {
		begin := max(now, l.free)
		if begin-now > int64(longestLine) {
			return fate{drop: true}
		}
		l.free = begin + int64(float64(size)*8/float64(c.Rate)*1e9)
		f.at = l.free
	}
	if !s.hit(c.Reorder) {
		f.at += s.delay(c)
	}
	return f
}

// hit is true with a probability.
func (s *shaper) hit(p float64) bool { return p > 0 && s.rng.Float64() < p }

// delay draws from the shape's distribution.
func (s *shaper) delay(c cluster.Shape) int64 {
	d, j := float64(c.Delay), float64(c.Jitter)
	switch {
	case j == 0:
	case c.Distribution == cluster.Normal:
		d += j * s.rng.NormFloat64()
	case c.Distribution == cluster.Pareto:
		// Shape 3 has a mean of half the scale, and a variance.
		d += j * (math.Pow(1-s.rng.Float64(), -1.0/3) - 1)
	default:
		d += j * (2*s.rng.Float64() - 1)
	}
	return int64(max(d, 0))
}

// keep lets a parcel wait for its time, or for its lane to be opened. It
// returns false if there is no room.
func (s *shaper) keep(p parcel) bool {
	s.order++
	p.order = s.order
	if !p.lane.hold {
		heap.Push(&s.line, p)
		return true
	}
	if s.held >= mostHeld || s.heldBytes+p.size > mostHeldBytes {
		s.overflow++
		return false
	}
	s.held, s.heldBytes = s.held+1, s.heldBytes+p.size
	p.lane.held = append(p.lane.held, p)
	return true
}

// due takes the next parcel whose time has come.
func (s *shaper) due(now int64) (parcel, bool) {
	if len(s.line) == 0 || s.line[0].at > now {
		return parcel{}, false
	}
	return heap.Pop(&s.line).(parcel), true
}

// next is when the next parcel is due; ok is false if none waits.
func (s *shaper) next() (at int64, ok bool) {
	if len(s.line) == 0 {
		return 0, false
	}
	return s.line[0].at, true
}

// release lets go of what a lane holds back, in order, before anything that comes
// later. With all it also ends the waiting of what is delayed.
func (s *shaper) release(l *lane, now int64, all bool) {
	if all {
		for i := range s.line {
			if s.line[i].lane == l {
				s.line[i].at = min(s.line[i].at, now)
			}
		}
		heap.Init(&s.line)
	}
	for _, p := range l.held {
		s.held, s.heldBytes = s.held-1, s.heldBytes-p.size
		p.at = now
		heap.Push(&s.line, p)
	}
	l.held = nil
}

// discard forgets what a lane holds back, and returns it.
func (s *shaper) discard(l *lane) []parcel {
	ps := l.held
	for _, p := range ps {
		s.held, s.heldBytes = s.held-1, s.heldBytes-p.size
	}
	l.held = nil
	return ps
}

// parcels is a heap by time, then by order of arrival.
type parcels []parcel

func (h parcels) Len() int { return len(h) }
func (h parcels) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].order < h[j].order
}
func (h parcels) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *parcels) Push(x any)   { *h = append(*h, x.(parcel)) }
func (h *parcels) Pop() any {
	old := *h
	p := old[len(old)-1]
	old[len(old)-1] = parcel{}
	*h = old[:len(old)-1]
	return p
}
