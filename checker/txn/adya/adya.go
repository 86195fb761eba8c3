// Package adya has the names of isolation: anomalies, the models that proscribe
// them, and how both imply each other. Sources: Adya, Weak Consistency (thesis,
// 1999); Cerone, Bernardi, Gotsman (CONCUR 2015); Bailis et al., Highly
// Available Transactions (VLDB 2013); names and lattice as in Elle (Kingsbury
// and Alvaro, VLDB 2020).
package adya

import (
	"maps"
	"slices"
	"sync"
)

// Anomalies that need no cycle, see package infer for what they mean.
const (
	Internal          = "internal"
	G1a               = "G1a"
	G1b               = "G1b"
	DirtyUpdate       = "dirty-update"
	DuplicateElements = "duplicate-elements"
	IncompatibleOrder = "incompatible-order"
	CyclicVersions    = "cyclic-versions"
	FutureRead        = "future-read"
	LostUpdate        = "lost-update"
	PredicateReadMiss = "predicate-read-miss"
	// GarbageRead is the read of a value that nobody wrote, in no table of
	// Adya's or Elle's: no model allows values from nowhere.
	GarbageRead = "garbage-read"
)

// Cycles, without the -process or -realtime of those that need such an edge.
const (
	G0               = "G0"
	G1c              = "G1c"
	GSingleItem      = "G-single-item"
	GSingle          = "G-single"
	GNonadjacentItem = "G-nonadjacent-item"
	GNonadjacent     = "G-nonadjacent"
	G2Item           = "G2-item"
	G2               = "G2"
	WithProcess      = "-process"
	WithRealtime     = "-realtime"
	exists           = "-cycle-exists"
)

// Models that the code names.
const (
	StrictSerializable = "strict-serializable"
	Serializable       = "serializable"
)

// CycleExists names the anomaly that says no more than that a model is refuted
// by some cycle.
func CycleExists(model string) string { return canonical(model) + exists }

// severity lists anomalies, the worst first: the order of reports.
var severity = []string{
	GarbageRead, DuplicateElements, CyclicVersions, IncompatibleOrder, G1a, DirtyUpdate, FutureRead, G1b, Internal,
	G0, G1c, LostUpdate, GSingleItem, GSingle, GNonadjacentItem, GNonadjacent, G2Item, PredicateReadMiss, G2,
}

// Rank orders anomalies by severity: what is shown by fewer assumptions first,
// so plain cycles before those of a process before those of real time.
func Rank(anomaly string) int {
	n := len(severity) + 1
	for i, suffix := range []string{"", WithProcess, WithRealtime} {
		if at := slices.Index(severity, trimmed(anomaly, suffix)); at >= 0 {
			return i*n + at
		}
	}
	return 3 * n
}

func trimmed(s, suffix string) string {
	if cut := len(s) - len(suffix); cut > 0 && s[cut:] == suffix {
		return s[:cut]
	}
	return ""
}

// means has what anomalies without a suffix directly imply.
var means = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		G0:                {G1c},
		G1c:               {"G1"},
		G1a:               {"G1"},
		G1b:               {"G1"},
		GSingleItem:       {GSingle, GNonadjacentItem},
		GSingle:           {GNonadjacent, "GSIb"},
		GNonadjacentItem:  {GNonadjacent, G2Item},
		GNonadjacent:      {G2},
		G2Item:            {G2},
		"GSIa":            {"GSI"},
		"GSIb":            {"GSI"},
		IncompatibleOrder: {G1a},
		DirtyUpdate:       {G1a},
		FutureRead:        {G1c},
		LostUpdate:        {"write-skew", G2Item},
		"write-skew":      {G2},
	}
})

// implied are the anomalies that an anomaly is also, one step. Each cycle
// implies itself with more kinds of edges besides.
func implied(anomaly string) []string {
	direct := means()
	out := slices.Clone(direct[anomaly])
	for _, suffix := range []string{WithProcess, WithRealtime} {
		if base := trimmed(anomaly, suffix); base != "" {
			for _, b := range direct[base] {
				if b != "GSIb" {
					out = append(out, b+suffix)
				}
			}
			if suffix == WithProcess {
				out = append(out, base+WithRealtime)
			}
			return out
		}
	}
	switch anomaly {
	case G0, "G1", G1c, GSingleItem, GSingle, GNonadjacentItem, GNonadjacent, G2Item, G2:
		out = append(out, anomaly+WithProcess)
	}
	return out
}

// Implied are all anomalies that an anomaly is also, itself included.
func Implied(anomaly string) map[string]bool { return reach(anomaly, implied) }

// reach closes a relation from one name.
func reach(from string, step func(string) []string) map[string]bool {
	seen := map[string]bool{from: true}
	for todo := []string{from}; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		for _, next := range step(name) {
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	return seen
}

// Proscribed are the anomalies that a model, by any of its names, forbids:
// those it forbids itself, those the weaker ones do, and all that imply one of
// them.
func Proscribed(model string, anomalies []string) map[string]bool {
	forbidden := map[string]bool{}
	for weaker := range Weaker(model) {
		forbidden[weaker+exists] = true
		for _, a := range direct()[weaker] {
			forbidden[a] = true
		}
	}
	out := map[string]bool{}
	for _, a := range anomalies {
		for b := range Implied(a) {
			if forbidden[b] {
				out[a] = true
			}
		}
	}
	return out
}

// Verdict sorts all models by what was found.
type Verdict struct {
	// Refuted are the weakest models that are refuted, Also all stronger
	// ones, Not all others, Strongest the strongest among those.
	Refuted, Also, Not, Strongest []string
	// Besides are among Also: the weakest of those that do not follow from
	// Refuted.
	Besides []string
	// Unchecked are the models that no anomaly speaks of, like linearizable:
	// nothing that is found of transactions could refute them.
	Unchecked []string
}

// Judge says which models the anomalies refute, by their friendly names,
// sorted.
func Judge(anomalies []string) Verdict {
	shown := map[string]bool{}
	for _, a := range anomalies {
		maps.Copy(shown, Implied(a))
	}
	refuted, checked := map[string]bool{}, map[string]bool{}
	for m, below := range closure() {
		checked[m] = Checked(m)
		for weaker := range below {
			refuted[m] = refuted[m] || shown[weaker+exists] || slices.ContainsFunc(direct()[weaker], func(a string) bool { return shown[a] })
		}
	}
	weakest, strongest := maps.Clone(refuted), map[string]bool{}
	for m := range closure() {
		strongest[m] = checked[m] && !refuted[m]
	}
	for m, below := range closure() {
		for weaker := range below {
			if m != weaker && refuted[m] && refuted[weaker] {
				weakest[m] = false
			}
			if m != weaker && !refuted[m] && !refuted[weaker] {
				strongest[weaker] = false
			}
		}
	}
	var v Verdict
	for _, m := range Models() {
		c := canonical(m)
		switch {
		case weakest[c]:
			v.Refuted = append(v.Refuted, m)
		case refuted[c]:
			v.Also = append(v.Also, m)
		case !checked[c]:
			v.Unchecked = append(v.Unchecked, m)
		default:
			v.Not = append(v.Not, m)
			if strongest[c] {
				v.Strongest = append(v.Strongest, m)
			}
		}
	}
	return v
}

// JudgeBesides is Judge, if cycles by their form refute further models. Elle
// judges by the names of the anomalies alone: so that Refuted can be held
// against its, it has nothing of that, and Also has.
func JudgeBesides(anomalies, models []string) Verdict {
	all := slices.Clone(anomalies)
	for _, m := range models {
		all = append(all, CycleExists(m))
	}
	told, v := Judge(anomalies), Judge(all)
	follows := func(m string) bool { return Follows(m, told.Refuted) }
	v.Besides = slices.DeleteFunc(slices.Clone(v.Refuted), follows)
	v.Also = slices.DeleteFunc(slices.Concat(v.Refuted, v.Also), func(m string) bool { return slices.Contains(told.Refuted, m) })
	slices.Sort(v.Also)
	v.Refuted = told.Refuted
	return v
}

// Follows says whether a model is refuted if these are.
func Follows(model string, refuted []string) bool {
	return slices.ContainsFunc(refuted, func(m string) bool { return closure()[canonical(model)][canonical(m)] })
}

// Checked is true for the models that some anomaly of transactions could
// refute.
func Checked(model string) bool {
	for weaker := range closure()[canonical(model)] {
		if len(direct()[weaker]) > 0 {
			return true
		}
	}
	return false
}

// Checkable are the friendly names of the models that are Checked, sorted.
func Checkable() []string {
	return slices.DeleteFunc(Models(), func(m string) bool { return !Checked(m) })
}

// closure has, of each model, all that it implies, itself included; by
// canonical names.
var closure = sync.OnceValue(func() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for m := range Weaker("PL-SS") {
		out[m] = Weaker(m)
	}
	return out
})

// Weaker are the canonical names of a model and all that it implies.
func Weaker(model string) map[string]bool {
	return reach(canonical(model), func(m string) []string { return weaker()[m] })
}

// Models are the friendly names of all models, sorted.
func Models() []string {
	seen := map[string]bool{}
	for m := range reach("PL-SS", func(m string) []string { return weaker()[m] }) {
		seen[Friendly(m)] = true
	}
	return slices.Sorted(maps.Keys(seen))
}
