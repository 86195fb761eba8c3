package gen

import (
	"container/heap"
	"encoding/json"
	"slices"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Imaginary describes the workers that Simulate plays.
type Imaginary struct {
	Workers int
	// Latency and Outcome say how long a call takes and how it ends; the
	// zero values mean 1 ms and OK.
	Latency func(Op, int) time.Duration
	Outcome func(Op, int) history.Kind
	// Answer, if set, stands for Outcome and says also what the completion's
	// value is.
	Answer func(Op, int) (history.Kind, json.RawMessage)
	// Until ends the simulation even if the source has not.
	Until time.Duration
}

// Simulate runs a source against imaginary workers, with no system behind
// them, and returns what the history would be. It obeys the harness's rules:
// one call a worker, a process retires after Info, the longest idle worker
// comes first. It shows what a generator's schedule is.
func Simulate(src Source, im Imaginary) []history.Event {
	s := &simulation{im: im}
	for w := range im.Workers {
		s.view.All = append(s.view.All, w)
		s.view.Free = append(s.view.Free, w)
		s.view.Processes = append(s.view.Processes, w)
	}
	for s.view.Now < im.Until {
		step, st := src.Next(s.view)
		switch {
		case st == Ready:
			s.invoke(src, step)
		case st == Done && len(s.inFlight) == 0:
			return s.events
		case st == Done:
			s.complete(src)
		case len(s.inFlight) > 0 && s.inFlight[0].at <= step.At:
			s.complete(src)
		case step.At == history.Forever:
			return s.events
		default:
			s.view.Now = step.At
		}
	}
	return s.events
}

type simulation struct {
	im       Imaginary
	view     View
	events   []history.Event
	inFlight callHeap
}

type imaginaryCall struct {
	at     time.Duration
	worker int
	op     Op
}

func (s *simulation) invoke(src Source, step Step) {
	d := time.Millisecond
	if s.im.Latency != nil {
		d = s.im.Latency(step.Op, step.Worker)
	}
	i := slices.Index(s.view.Free, step.Worker)
	s.view.Free = slices.Delete(s.view.Free, i, i+1)
	s.record(src, step.Worker, step.Op, history.Invoke)
	heap.Push(&s.inFlight, imaginaryCall{s.view.Now + d, step.Worker, step.Op})
}

func (s *simulation) complete(src Source) {
	c := heap.Pop(&s.inFlight).(imaginaryCall)
	s.view.Now = c.at
	kind := history.OK
	switch {
	case s.im.Answer != nil:
		kind, c.op.Value = s.im.Answer(c.op, c.worker)
	case s.im.Outcome != nil:
		kind = s.im.Outcome(c.op, c.worker)
	}
	s.record(src, c.worker, c.op, kind)
	if kind == history.Info {
		s.view.Processes[c.worker] += s.im.Workers
	}
	s.view.Free = append(s.view.Free, c.worker)
}

func (s *simulation) record(src Source, w int, op Op, kind history.Kind) {
	e := history.Event{Index: len(s.events), Time: s.view.Now,
		Process: s.view.Processes[w], Kind: kind, F: op.F, Value: op.Value}
	s.events = append(s.events, e)
	src.Observe(w, e)
}

type callHeap []imaginaryCall

func (h callHeap) Len() int { return len(h) }
func (h callHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].worker < h[j].worker
}
func (h callHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *callHeap) Push(x any)   { *h = append(*h, x.(imaginaryCall)) }
func (h *callHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
