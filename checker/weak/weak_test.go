package weak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
)

// decided compares one history with brute force.
func decided(t *testing.T, ops []Op, init []int32) (verdicts map[string]bool) {
	t.Helper()
	c, err := judge(context.Background(), ops, init, Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := newBrute(ops, init)
	verdicts = map[string]bool{}
	for _, m := range Models() {
		want := b.allows(m)
		verdicts[m] = want
		if got := c.states[m]; got == open || (got == holds) != want {
			t.Fatalf("%s: got %d (%s), brute force allows it: %t\n%s\nwitness: %+v", m, got, c.why[m], want, show(ops), c.found[m])
		}
	}
	for m, v := range c.found {
		checkAlone(t, c, m, v, init)
		checkAlone(t, c, m, c.t.shrink(v, init), init)
	}
	return verdicts
}

// checkAlone: a witness refutes the model by itself.
func checkAlone(t *testing.T, c *court, m string, v violation, init []int32) {
	t.Helper()
	var sub []Op
	for _, i := range v.ops {
		sub = append(sub, c.t.ops[i])
	}
	// The witness may need what another process' session read before the
	// piece, and so show reads that went back.
	alone := newBrute(sub, init)
	if alone.allows(m) && (m != MonotonicWrites && m != WritesFollowReads || alone.allows(MonotonicReads)) {
		t.Fatalf("%s: the witness %v, %q, is allowed by itself\n%s", m, v.ops, v.say, show(c.t.ops))
	}
}

func show(ops []Op) (s string) {
	for i, o := range ops {
		s += fmt.Sprintf("%d: process %d key %d see %d set %d [%d %d] crashed %t\n", i, o.Process, o.Key, o.See, o.Set, o.Call, o.Return, o.Crashed)
	}
	return s
}

func TestAgainstBruteForce(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 2))
	n := spectest.Histories(t)
	allowed := map[string]int{}
	profiles := map[string]int{}
	separated := map[[2]string]bool{}
	for range n {
		ops, init := random(r)
		v := decided(t, ops, init)
		profile := ""
		for _, a := range Models() {
			if v[a] {
				allowed[a]++
				profile += a + " "
			}
			for _, b := range Models() {
				if v[a] && !v[b] {
					if Implies(a, b) {
						t.Fatalf("%s is allowed, %s, which it implies, is not:\n%s", a, b, show(ops))
					}
					separated[[2]string{a, b}] = true
				}
			}
		}
		profiles[profile]++
	}
	t.Logf("%d histories, %d combinations of models, allowed: %v", n, len(profiles), allowed)
	for _, m := range Models() {
		if allowed[m] < n/20 || allowed[m] > n-n/200 {
			t.Errorf("%s is allowed in %d of %d histories: that tests little", m, allowed[m], n)
		}
	}
	for _, a := range Models() {
		for _, b := range Models() {
			if n >= 20_000 && !Implies(a, b) && !separated[[2]string{a, b}] {
				t.Logf("no history tells that %s does not imply %s", a, b)
			}
		}
	}
}
