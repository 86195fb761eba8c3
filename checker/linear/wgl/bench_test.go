package wgl_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

type workload struct {
	name string
	in   func(*rand.Rand, int) in
	spectest.Shape
	stale bool
}

func (w workload) ops() []spec.Op[in, out] {
	ops := spectest.Simulate(rand.New(rand.NewPCG(3, 7)), register(), w.in, w.Shape)
	if w.stale {
		spoil(ops)
	}
	return ops
}

// spoil lets one read in the middle see what cannot be there any more.
func spoil(ops []spec.Op[in, out]) {
	for i := len(ops) / 2; i < len(ops); i++ {
		if o := &ops[i]; o.In.verb == read && !o.Crashed {
			o.Out.seen = 12345678
			return
		}
	}
}

func (w workload) String() string {
	return fmt.Sprintf("%s/c=%d/crash=%g/stale=%v/n=%d", w.name, w.Clients, w.Crash, w.stale, w.Ops)
}

func (w workload) want() spec.Outcome {
	if w.stale {
		return spec.Illegal
	}
	return spec.Legal
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5, 1e6} {
		for _, w := range []workload{
			{"distinct", distinct, spectest.Shape{Ops: n, Clients: 5}, false},
			{"repeated", repeated, spectest.Shape{Ops: n, Clients: 5}, false},
			{"repeated", repeated, spectest.Shape{Ops: n, Clients: 5}, true},
			{"distinct", distinct, spectest.Shape{Ops: n, Clients: 10}, false},
			{"repeated", repeated, spectest.Shape{Ops: n, Clients: 10}, false},
			{"repeated", repeated, spectest.Shape{Ops: n, Clients: 10}, true},
		} {
			b.Run(w.String(), func(b *testing.B) {
				ops := w.ops()
				b.ReportAllocs()
				for b.Loop() {
					f := wgl.Decide(register(), ops, spec.Budget{Bytes: 4 << 30})
					if f.Outcome != w.want() {
						b.Fatal(f.Outcome, f.Why)
					}
				}
			})
		}
	}
}

// BenchmarkPorcupine is what BenchmarkDecide is compared with.
func BenchmarkPorcupine(b *testing.B) {
	for _, w := range []workload{
		{"distinct", distinct, spectest.Shape{Ops: 1e3, Clients: 10}, false},
		{"distinct", distinct, spectest.Shape{Ops: 1e4, Clients: 10}, false},
		{"repeated", repeated, spectest.Shape{Ops: 1e4, Clients: 10}, false},
		{"repeated", repeated, spectest.Shape{Ops: 1e4, Clients: 10}, true},
	} {
		b.Run(w.String(), func(b *testing.B) {
			ops := w.ops()
			b.ReportAllocs()
			for b.Loop() {
				if got := spec.Porcupine(register(), ops, time.Minute); got != w.want() {
					b.Fatal(got)
				}
			}
		})
	}
}
