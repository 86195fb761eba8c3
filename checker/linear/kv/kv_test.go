package kv_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/kv"
	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// subject draws operations; puts of ten are puts. The pieces are unique, of
// several lengths and, if tricky, can be taken for each other.
func subject(puts int, tricky bool) spectest.Subject[string, kv.In, kv.Out] {
	piece := func(i int) string {
		if tricky {
			return strings.Repeat("ab"[i%2:i%2+1], 1+i/3)
		}
		return string(rune('A'+i)) + strings.Repeat("x", i%3)
	}
	return spectest.Subject[string, kv.In, kv.Out]{
		Model: kv.Model(),
		In: func(r *rand.Rand, i int) kv.In {
			switch k := r.IntN(10); {
			case k < 5:
				return kv.In{}
			case k < 5+puts:
				return kv.In{Verb: kv.Put, Piece: piece(i)}
			}
			return kv.In{Verb: kv.Append, Piece: piece(i)}
		},
		Mutate: func(r *rand.Rand, in kv.In, out kv.Out) kv.Out {
			if in.Verb != kv.Get {
				return out
			}
			i := r.IntN(12)
			switch r.IntN(4) {
			case 0:
				return kv.Out{Value: out.Value + piece(i)}
			case 1:
				return kv.Out{Value: out.Value[:r.IntN(len(out.Value)+1)]}
			case 2:
				return kv.Out{Value: piece(i) + out.Value}
			}
			return kv.Out{Value: piece(i)}
		},
		Prepare: func(ops []kv.Op) []kv.Op {
			return slices.DeleteFunc(ops, func(o kv.Op) bool { return o.Crashed && o.In.Verb == kv.Get })
		},
		Decide: func(ops []kv.Op) spec.Finding[kv.Out] { return kv.Decide(ops, spec.Budget{}) },
	}
}

func TestDiffer(t *testing.T) {
	subject(2, false).Differ(t, spectest.Histories(t), 1)
}

func TestDifferAppends(t *testing.T) {
	subject(0, false).Differ(t, spectest.Histories(t), 2)
}

func TestDifferTricky(t *testing.T) {
	s := subject(1, true)
	s.Inapplicable, s.Undecided = .2, .03
	s.Differ(t, spectest.Histories(t)/5, 3)
}

func TestNeeds(t *testing.T) {
	for _, s := range []spectest.Subject[string, kv.In, kv.Out]{subject(2, false), subject(0, false), subject(1, true)} {
		r := rand.New(rand.NewPCG(5, 6))
		for range spectest.Histories(t) / 5 {
			ops := s.Random(r)
			if !spectest.Brute(s.Model, ops) {
				continue
			}
			needs := kv.Needs(ops)
			out := make([]bool, len(ops))
			for i := range out {
				out[i] = r.IntN(5) == 0
			}
			for again := true; again; {
				again = false
				for i := range out {
					if !out[i] && slices.ContainsFunc(needs[i], func(j int32) bool { return out[j] }) {
						out[i], again = true, true
					}
				}
			}
			var sub []kv.Op
			for i := range ops {
				if !out[i] {
					sub = append(sub, ops[i])
				}
			}
			if !spectest.Brute(s.Model, sub) {
				t.Fatalf("legal:\n%sbut not\n%s", spectest.Format(ops), spectest.Format(sub))
			}
		}
	}
}

func TestInapplicable(t *testing.T) {
	at := int64(0)
	op := func(v kv.Verb, piece string) kv.Op {
		at += 2
		if v == kv.Get {
			return kv.Op{Out: kv.Out{Value: piece}, Call: at, Return: at + 1}
		}
		return kv.Op{In: kv.In{Verb: v, Piece: piece}, Call: at, Return: at + 1}
	}
	for name, ops := range map[string][]kv.Op{
		"empty":   {op(kv.Append, "")},
		"twofold": {op(kv.Put, "a"), op(kv.Get, "a"), op(kv.Put, "b"), op(kv.Put, "a"), op(kv.Get, "a"), op(kv.Get, "b")},
	} {
		if f := kv.Decide(ops, spec.Budget{}); f.Outcome != spec.Inapplicable || f.Why == "" {
			t.Errorf("%s: %v %q", name, f.Outcome, f.Why)
		}
	}
}

// TestImpossible: a get of what no pieces make up is a conflict by itself, even
// where pieces repeat, and needs nothing.
func TestImpossible(t *testing.T) {
	for _, again := range []string{"b", "a"} {
		ops := []kv.Op{
			{In: kv.In{Verb: kv.Append, Piece: "a"}, Call: 0, Return: 1},
			{In: kv.In{Verb: kv.Append, Piece: again}, Call: 2, Return: 3},
			{Out: kv.Out{Value: "a" + again}, Call: 4, Return: 5},
			{Out: kv.Out{Value: "za"}, Call: 6, Return: 7},
		}
		f := kv.Decide(ops, spec.Budget{})
		if f.Outcome != spec.Illegal || len(f.Conflicts) != 1 || !slices.Equal(f.Conflicts[0].Ops, []int32{3}) {
			t.Errorf("second piece %q: %v %+v", again, f.Outcome, f.Conflicts)
		}
		needs := kv.Needs(ops)
		if slices.Sort(needs[2]); len(needs[3]) > 0 || !slices.Equal(needs[2], []int32{0, 1}) {
			t.Errorf("second piece %q: needs %v", again, needs)
		}
	}
}

// TestRecorded judges the logs that porcupine carries, key by key: porcupine's
// own tests call those named ok linearizable, and no other.
func TestRecorded(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anishathalye/porcupine").Output()
	if err != nil {
		t.Fatalf("find porcupine's module: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "test_data", "kv", "*.txt"))
	if err != nil || len(files) < 6 {
		t.Fatalf("porcupine's module has %d logs, %v", len(files), err)
	}
	for _, file := range files {
		keys := readLog(t, file)
		n, bad := 0, 0
		start := time.Now()
		found := map[string]spec.Finding[kv.Out]{}
		for key, ops := range keys {
			n += len(ops)
			found[key] = kv.Decide(ops, spec.Budget{})
		}
		took := time.Since(start)
		for key, f := range found {
			switch f.Outcome {
			case spec.Legal:
				if err := spec.Verify(keys[key], f.Order, nil, kv.Model().Object()); err != nil {
					t.Errorf("%s, key %s: %v", file, key, err)
				}
			case spec.Illegal:
				bad++
				for _, c := range f.Conflicts {
					confirm(t, keys[key], c)
				}
				t.Logf("%d operations: %s", len(f.Conflicts[0].Ops), f.Conflicts[0].Say)
			default:
				t.Logf("%s, key %s: %v, %s", filepath.Base(file), key, f.Outcome, f.Why)
				if strings.HasSuffix(file, "-ok.txt") {
					t.Fail()
				}
			}
		}
		t.Logf("%s: %d operations, %d keys, %d illegal: %v", filepath.Base(file), n, len(keys), bad, took)
		if ok := strings.HasSuffix(file, "-ok.txt"); ok != (bad == 0) {
			t.Errorf("%s: %d keys are illegal", file, bad)
		}
	}
}

func confirm(t *testing.T, ops []kv.Op, c spec.Conflict) {
	t.Helper()
	if len(c.Ops) > 40 {
		return // too much for porcupine
	}
	var sub []kv.Op
	for _, i := range c.Ops {
		sub = append(sub, ops[i])
	}
	if got := spec.Porcupine(kv.Model(), sub, time.Second); got == spec.Legal {
		t.Errorf("porcupine calls it %v: %s\n%s", got, c.Say, spectest.Format(sub))
	}
}

var logLine = regexp.MustCompile(`\{:process (\d+), :type :(\w+), :f :(\w+), :key "(.*)", :value (?:"(.*)"|nil)\}`)

// readLog gives the operations by key. What never returned crashed.
func readLog(t *testing.T, path string) map[string][]kv.Op {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys := map[string][]kv.Op{}
	pending := map[string]int{}
	at := int64(0)
	for s := bufio.NewScanner(f); s.Scan(); at++ {
		m := logLine.FindStringSubmatch(s.Text())
		if m == nil {
			t.Fatalf("cannot read %q", s.Text())
		}
		process, key := m[1], m[4]
		if m[2] == "invoke" {
			verb := map[string]kv.Verb{"get": kv.Get, "put": kv.Put, "append": kv.Append}[m[3]]
			pending[process] = len(keys[key])
			keys[key] = append(keys[key], kv.Op{In: kv.In{Verb: verb, Piece: m[5]}, Call: at, Return: spec.Never, Crashed: true})
			continue
		}
		o := &keys[key][pending[process]]
		o.Return, o.Crashed = at, false
		if o.In.Verb == kv.Get {
			o.Out.Value = m[5]
		}
	}
	return keys
}

func BenchmarkKV(b *testing.B) {
	for _, n := range []int{1e3, 1e4, 1e5} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			var ops []kv.Op
			held := ""
			for i := range n {
				o := kv.Op{Call: int64(i)*2 - 10, Return: int64(i)*2 + 10}
				switch {
				case i%100 == 0:
					held = fmt.Sprintf("p%d.", i)
					o.In = kv.In{Verb: kv.Put, Piece: held}
				case i%2 == 0:
					o.In = kv.In{Verb: kv.Append, Piece: fmt.Sprintf("a%d.", i)}
					held += o.In.Piece
				default:
					o.Out.Value = held
				}
				ops = append(ops, o)
			}
			b.ReportAllocs()
			for b.Loop() {
				if f := kv.Decide(ops, spec.Budget{}); f.Outcome != spec.Legal {
					b.Fatal(f.Outcome, f.Why, f.Conflicts)
				}
			}
		})
	}
}
