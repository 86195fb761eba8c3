package nemesis

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Fate is what a fault wants of a server process. Of two that are wanted at
// the same time the larger one is in force.
type Fate uint8

// The fates. A node that crashes loses what its disk had not synced; one that
// is killed keeps what its kernel has; one that is stopped ends as it likes.
const (
	Run Fate = iota
	Suspended
	Paused
	Stopped
	Killed
	Crashed
)

// State is the process state that shows the fate.
func (f Fate) State() cluster.State {
	switch f {
	case Run:
		return cluster.Running
	case Suspended:
		return cluster.Suspended
	case Paused:
		return cluster.Paused
	}
	return cluster.Dead
}

// Want is a fault's share of the desired state of a cluster, or what all
// shares come to. What it does not name is to be as it comes. The zero value
// wants nothing.
type Want struct {
	Links  cluster.LinkState
	Procs  map[string]Fate
	Clocks map[string]cluster.Skew
	Disks  map[string]cluster.Disk
	Limits map[string]cluster.Limits
}

// Merge is what several shares come to together. The result does not depend
// on their order, but for the last digits of probabilities.
//
//	cuts, processes   the larger one
//	shapes            delays and jitters add up, packets meet each loss by
//	                  itself, the smallest rate
//	clocks            offsets and drifts add up
//	disks             all faults of all; delays add up
//	limits            the tightest
func Merge(shares ...Want) Want {
	var all Want
	for _, w := range shares {
		fold(&all.Links.Cut, w.Links.Cut, maxOf)
		fold(&all.Links.Shape, w.Links.Shape, mergeShape)
		fold(&all.Procs, w.Procs, maxOf)
		fold(&all.Clocks, w.Clocks, mergeSkew)
		fold(&all.Disks, w.Disks, mergeDisk)
		fold(&all.Limits, w.Limits, mergeLimits)
	}
	return all
}

// fold adds one share of an area. What is like the zero value is left out, so
// that equal states are equal maps.
func fold[K comparable, V comparable](all *map[K]V, share map[K]V, merge func(a, b V) V) {
	var zero V
	for k, v := range share {
		m := merge((*all)[k], v)
		if m == zero {
			delete(*all, k)
			continue
		}
		if *all == nil {
			*all = map[K]V{}
		}
		(*all)[k] = m
	}
}

func maxOf[T cmp.Ordered](a, b T) T { return max(a, b) }

func mergeShape(a, b cluster.Shape) cluster.Shape {
	m := cluster.Shape{
		Delay:     a.Delay + b.Delay,
		Jitter:    a.Jitter + b.Jitter,
		Loss:      either(a.Loss, b.Loss),
		Duplicate: either(a.Duplicate, b.Duplicate),
		Reorder:   either(a.Reorder, b.Reorder),
		Corrupt:   either(a.Corrupt, b.Corrupt),
		Disguise:  a.Disguise || b.Disguise,
		Rate:      tighter(a.Rate, b.Rate),
	}
	// A sum has the shape of its wider part.
	m.Distribution = a.Distribution
	if b.Jitter > a.Jitter || b.Jitter == a.Jitter && b.Distribution > a.Distribution {
		m.Distribution = b.Distribution
	}
	return m
}

func mergeSkew(a, b cluster.Skew) cluster.Skew {
	return cluster.Skew{Offset: a.Offset + b.Offset, Drift: a.Drift + b.Drift}
}

func mergeDisk(a, b cluster.Disk) cluster.Disk {
	return cluster.Disk{
		ReadOnly:    a.ReadOnly || b.ReadOnly,
		Full:        a.Full || b.Full,
		Delay:       a.Delay + b.Delay,
		ReadErrors:  either(a.ReadErrors, b.ReadErrors),
		WriteErrors: either(a.WriteErrors, b.WriteErrors),
		SyncErrors:  either(a.SyncErrors, b.SyncErrors),
	}
}

func mergeLimits(a, b cluster.Limits) cluster.Limits {
	return cluster.Limits{CPU: tighter(a.CPU, b.CPU), Headroom: tighter(a.Headroom, b.Headroom)}
}

// either is the probability of one of two independent events.
func either(p, q float64) float64 { return p + q - p*q }

// tighter is the smaller limit, where 0 is none.
func tighter[T int64 | float64](a, b T) T {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// later is the share as it is some time after it came into force: clocks that
// drift are further off.
func (w Want) later(d time.Duration) Want {
	if len(w.Clocks) == 0 || d == 0 {
		return w
	}
	w.Clocks = maps.Clone(w.Clocks)
	for n, s := range w.Clocks {
		w.Clocks[n] = driftedBy(s, d)
	}
	return w
}

func driftedBy(s cluster.Skew, d time.Duration) cluster.Skew {
	s.Offset += time.Duration(math.Round(s.Drift * float64(d)))
	return s
}

// touched says which links and nodes a share speaks of, by area.
type touched struct {
	links                       []cluster.Link
	procs, clocks, disks, limit []string
}

func (w Want) touches() touched {
	links := slices.Collect(maps.Keys(w.Links.Cut))
	links = slices.AppendSeq(links, maps.Keys(w.Links.Shape))
	return touched{
		links:  unique(links, compareLinks),
		procs:  slices.Sorted(maps.Keys(w.Procs)),
		clocks: slices.Sorted(maps.Keys(w.Clocks)),
		disks:  slices.Sorted(maps.Keys(w.Disks)),
		limit:  slices.Sorted(maps.Keys(w.Limits)),
	}
}

func (t touched) and(o touched) touched {
	return touched{
		links:  unique(slices.Concat(t.links, o.links), compareLinks),
		procs:  unique(slices.Concat(t.procs, o.procs), cmp.Compare),
		clocks: unique(slices.Concat(t.clocks, o.clocks), cmp.Compare),
		disks:  unique(slices.Concat(t.disks, o.disks), cmp.Compare),
		limit:  unique(slices.Concat(t.limit, o.limit), cmp.Compare),
	}
}

func compareLinks(a, b cluster.Link) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

func unique[T comparable](s []T, compare func(a, b T) int) []T {
	slices.SortFunc(s, compare)
	return slices.Compact(s)
}
