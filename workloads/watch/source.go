package watch

import (
	"encoding/json"
	"slices"
	"strconv"

	check "github.com/capstan-dev/capstan/checker/watch"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/gen"
)

const (
	// lastWrites are tried in the end until one is acknowledged, and mostWatches
	// of each worker until it was told of that.
	lastWrites, mostWatches = 20, 100
)

// watchers generates writes of 1, 2, 3, ... and watches that go on where the
// last one of the same worker ended.
type watchers struct {
	nodes   int
	written int           // the last value
	next    map[int]int64 // by worker: the revision
}

func (s *watchers) Next(v gen.View) (gen.Step, gen.Status) {
	if len(v.Free) == 0 {
		return gen.Step{At: history.Forever}, gen.Wait
	}
	w := v.Free[0]
	if s.watches(w, len(v.All)) {
		return s.watch(w), gen.Ready
	}
	return s.write(w), gen.Ready
}

// watches says whether a worker watches, so that of those that are connected
// to one node some do and some do not, if there are enough.
func (s *watchers) watches(worker, workers int) bool {
	if workers < 2*s.nodes {
		return worker%2 == 1
	}
	return (worker/s.nodes)%2 == 1
}

func (s *watchers) write(worker int) gen.Step {
	s.written++
	return gen.Step{Op: gen.Op{F: "write", Value: strconv.AppendInt(nil, int64(s.written), 10)}, Worker: worker}
}

func (s *watchers) watch(worker int) gen.Step {
	return gen.Step{Op: gen.Op{F: "watch", Value: strconv.AppendInt(nil, s.next[worker], 10)}, Worker: worker}
}

func (s *watchers) Observe(worker int, e history.Event) { s.told(worker, e) }

// told moves a worker on to the revision that it was told of.
func (s *watchers) told(worker int, e history.Event) (values []int) {
	var t check.Told
	if e.Kind != history.OK || e.F != "watch" || json.Unmarshal(e.Value, &t) != nil {
		return nil
	}
	s.next[worker] = max(s.next[worker], t.Revision)
	return t.Values
}

// lastWrite writes until a write is acknowledged.
type lastWrite struct {
	*watchers
	tries int
	done  bool
}

func (s *lastWrite) Next(v gen.View) (gen.Step, gen.Status) {
	switch {
	case s.done || s.tries == lastWrites:
		return gen.Step{}, gen.Done
	case len(v.Free) < len(v.All):
		return gen.Step{At: history.Forever}, gen.Wait
	}
	s.tries++
	return s.write(v.Free[0]), gen.Ready
}

func (s *lastWrite) Observe(_ int, e history.Event) { s.done = s.done || e.Kind == history.OK }

// lastWatches lets every worker watch until it was told of the last write.
type lastWatches struct {
	*watchers
	asked map[int]int
	told  map[int]bool
}

func (s *lastWatches) Next(v gen.View) (gen.Step, gen.Status) {
	for _, w := range v.Free {
		if !s.over(w) {
			s.asked[w]++
			return s.watch(w), gen.Ready
		}
	}
	if slices.ContainsFunc(v.All, func(w int) bool { return !s.over(w) }) {
		return gen.Step{At: history.Forever}, gen.Wait
	}
	return gen.Step{}, gen.Done
}

func (s *lastWatches) over(w int) bool { return s.told[w] || s.asked[w] >= mostWatches }

func (s *lastWatches) Observe(worker int, e history.Event) {
	if slices.Contains(s.watchers.told(worker, e), s.written) {
		s.told[worker] = true
	}
}
