package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/bank"
	"github.com/capstan-dev/capstan/checker/causalreverse"
	"github.com/capstan-dev/capstan/checker/ids"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/checker/lock"
	"github.com/capstan-dev/capstan/checker/longfork"
	"github.com/capstan-dev/capstan/checker/monotonic"
	"github.com/capstan-dev/capstan/checker/queue"
	"github.com/capstan-dev/capstan/checker/sequential"
	"github.com/capstan-dev/capstan/checker/sets"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/watch"
	"github.com/capstan-dev/capstan/checker/weak"
	"github.com/capstan-dev/capstan/checker/writeskew"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// model is what a history from elsewhere can be checked against.
type model struct {
	name, doc string
	check     func(checkOptions) (checker.Checker, error)
}

// allModels lists what `capstan check --model` knows: the kinds of objects
// whose linearizability is decided, then Jepsen's other checks.
func allModels() []model {
	var all []model
	for _, name := range linear.Models() {
		all = append(all, model{name, "linearizable: " + linear.Describe(name), func(o checkOptions) (checker.Checker, error) {
			return linear.New(name, o.linear())
		}})
	}
	plain := func(name, doc string, c func(checkOptions) checker.Checker) {
		all = append(all, model{name, doc, func(o checkOptions) (checker.Checker, error) { return checker.PerKey(c(o)), nil }})
	}
	set := func(checkOptions) checker.Checker { return sets.New(sets.Options{}) }
	plain("set", "add and a final read of the whole: lost, duplicated and phantom elements", set)
	plain("set-full", "the same", set)
	plain("total-queue", "enqueue, dequeue and drain: what went in came out", func(checkOptions) checker.Checker { return queue.New() })
	plain("unique-ids", "generate: no identifier twice", func(checkOptions) checker.Checker { return ids.New() })
	plain("bank", "transfer and reads of all balances: the total stays", func(o checkOptions) checker.Checker {
		return bank.New(bank.Options{Total: o.total, NegativeBalances: o.debt})
	})
	plain("long-fork", "single writes and reads of groups: all see the writes in one order", func(checkOptions) checker.Checker { return longfork.New() })
	plain("causal-reverse", "writes and reads of all: none is seen before one that ended before it began", func(checkOptions) checker.Checker { return causalreverse.New() })
	return append(append(all, jointModels()...), isolationModels()...)
}

// jointModels are those of Jepsen's other checks, and of our workloads, that
// look at all keys together, or at what their operations' keys mean.
func jointModels() []model {
	return []model{
		{"monotonic", "inc and reads of registers that only grow: isolation, by the order of the numbers", func(checkOptions) (checker.Checker, error) { return monotonic.New("") }},
		{"adya-g2", "insert [k row] only if there is no row for k: at most one is acknowledged", func(checkOptions) (checker.Checker, error) { return writeskew.New(), nil }},
		{"sequential", "put (write) of subkeys in order, scan (read) in reverse: no later one without the earlier ones", func(checkOptions) (checker.Checker, error) { return sequential.New(), nil }},
		{"mutual-exclusion", "acquire, load, save and release of locks with a lease: never two at a time", func(checkOptions) (checker.Checker, error) {
			return lock.NewExclusion(lock.Options{}), nil
		}},
		{"protected-lists", "the same, and look: no element that was saved under a lock is lost", func(checkOptions) (checker.Checker, error) { return lock.NewProtected(), nil }},
		{"watch", "write and watch: all are told of the same writes in the same order", func(checkOptions) (checker.Checker, error) { return watch.New(), nil }},
	}
}

func models() []string {
	var names []string
	for _, m := range allModels() {
		names = append(names, m.name)
	}
	return names
}

// linear are the options as far as they concern linearizability.
func (o checkOptions) linear() linear.Options {
	return linear.Options{
		Init: json.RawMessage(o.init), Nil: o.null, FailedCAS: o.failedCAS, Without: o.without,
		Timeout: o.timeout, Memory: o.memory, Certificates: o.certificates,
	}
}

// nilSaysNothing: a read of nil is a wildcard.
func (o checkOptions) nilSaysNothing() bool {
	return o.null == linear.NilWildcard || o.null == "" && o.init != ""
}

// weak are the options as far as they concern the models below.
func (o checkOptions) weak() weak.Options {
	return weak.Options{Init: json.RawMessage(o.init), NilSaysNothing: o.nilSaysNothing(), Memory: o.memory}
}

// checker makes the checker of a model.
func (o checkOptions) checker(name string) (checker.Checker, error) {
	if o.consistency != "" && o.consistency != weak.Linearizable && !isIsolation(name) {
		if name != "register" && name != "cas-register" {
			return nil, fmt.Errorf("--consistency goes with registers and transactions, not with model %q", name)
		}
		return weak.New(o.consistency, o.weak())
	}
	all := allModels()
	if same, ok := linear.Aliases()[name]; ok {
		name = same
	}
	at := slices.IndexFunc(all, func(m model) bool { return m.name == name })
	if at < 0 {
		return nil, fmt.Errorf("unknown model %q%s; there are: %s", name, nearest.Hint(name, models()), strings.Join(models(), ", "))
	}
	return all[at].check(o)
}

// suggestModel picks the model by the names of the operations.
func suggestModel(h *history.History) (string, error) {
	fs := map[string]bool{}
	numbers := false
	keyed := history.Keyed(h)
	for _, e := range h.Events {
		if e.Process < 0 {
			continue
		}
		fs[e.F] = true
		if name := transactional(e.Value); name != "" {
			return name, nil
		}
		numbers = numbers || e.F == "read" && e.Kind == history.OK && isNumber(e.Value, keyed)
	}
	switch {
	case fs["load"] && fs["save"]:
		return "mutual-exclusion", nil
	case fs["inc"]:
		return "monotonic", nil
	case fs["watch"]:
		return "watch", nil
	case fs["put"] && fs["scan"]:
		return "sequential", nil
	case fs["acquire"] || fs["release"]:
		return "mutex", nil
	case fs["cas"]:
		return "cas-register", nil
	case fs["write"], len(fs) == 1 && fs["read"]:
		return "register", nil
	case fs["add"] && numbers:
		return "counter", nil
	case fs["add"]:
		return "set", nil
	case fs["append"] && fs["read"]:
		return "list", nil
	case fs["generate"]:
		return "unique-ids", nil
	case fs["transfer"]:
		return "bank", nil
	case fs["drain"]:
		return "total-queue", nil
	}
	return "", fmt.Errorf("the operations do not tell the model; give --model, one of %s", strings.Join(models(), ", "))
}

// transactional is the kind of transactions that a value suggests; empty if it
// is none, or only reads.
func transactional(v json.RawMessage) string {
	var mops [][]json.RawMessage
	if json.Unmarshal(v, &mops) != nil {
		return ""
	}
	for _, m := range mops {
		if len(m) != 3 {
			return ""
		}
		switch string(m[0]) {
		case `"append"`:
			return txn.ListAppend
		case `"add"`:
			return txn.SetAdd
		case `"w"`:
			return txn.RWRegister
		}
	}
	return ""
}

// isNumber says whether a value, behind its key, is a number.
func isNumber(v json.RawMessage, keyed bool) bool {
	if _, value, ok := history.SplitPair(v); keyed && ok {
		v = value
	}
	var n json.Number
	return len(v) > 0 && v[0] != '"' && json.Unmarshal(v, &n) == nil && n != ""
}
