package adya

import (
	"slices"
	"strings"
	"sync"
)

// names has the friendly names of models that have shorter ones, the first of
// several being the one that is printed.
var names = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		"PL-1":                {"read-uncommitted"},
		"PL-2":                {"read-committed"},
		"PL-2L":               {"monotonic-view"},
		"PL-CS":               {"cursor-stability"},
		"PL-MSR":              {"monotonic-snapshot-read"},
		"PL-2+":               {"consistent-view"},
		"PL-FCV":              {"forward-consistent-view"},
		"PL-SI":               {"snapshot-isolation"},
		"PL-2.99":             {"repeatable-read"},
		"PL-3U":               {"update-serializable"},
		"PL-3":                {Serializable, "conflict-serializable"},
		"PL-SS":               {StrictSerializable, "strong-serializable"},
		"strong-session-PL-1": {"strong-session-read-uncommitted"},
		"strong-session-PL-2": {"strong-session-read-committed"},
		"strong-PL-1":         {"strong-read-uncommitted"},
		"strong-PL-2":         {"strong-read-committed"},
	}
})

// canonical is the short name of a model, and any other name itself.
func canonical(model string) string {
	for short, long := range names() {
		if slices.Contains(long, model) {
			return short
		}
	}
	return model
}

// Friendly is the name of a model that is printed.
func Friendly(model string) string {
	if long := names()[canonical(model)]; len(long) > 0 {
		return long[0]
	}
	return model
}

// Unabbreviated is the model that is meant by a name as people write it: in any
// case, as a keyword, or by its initials. Other names stay as they are.
func Unabbreviated(name string) string {
	if Known(name) && Checked(name) {
		return name
	}
	plain := strings.ToLower(strings.TrimPrefix(name, ":"))
	if long, ok := abbreviations()[plain]; ok {
		return long
	}
	for _, n := range Names() {
		if strings.ToLower(n) == plain {
			return n
		}
	}
	return name
}

// abbreviations of those that people use.
func abbreviations() map[string]string {
	return map[string]string{
		"strict": StrictSerializable, "ser": Serializable, "si": "snapshot-isolation", "psi": "parallel-snapshot-isolation",
		"rr": "repeatable-read", "causal": "causal-cerone", "mav": "monotonic-atomic-view", "rc": "read-committed",
		"ru": "read-uncommitted", "ra": "read-atomic", "cs": "cursor-stability",
	}
}

// Known says whether a model has that name.
func Known(model string) bool { return slices.Contains(Models(), Friendly(model)) }

// Names are all names of all models, sorted.
func Names() []string {
	out := Models()
	for short, long := range names() {
		out = append(append(out, short), long...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// weaker are the next weaker models of each, by canonical names.
var weaker = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		"PL-SS":                             {"PL-3", "linearizable", "strong-snapshot-isolation", "strong-session-serializable", "session-serializable"},
		"strong-session-serializable":       {"PL-3", "strong-session-snapshot-isolation"},
		"session-serializable":              {"1SR"},
		"PL-3":                              {"PL-2.99", "PL-SI", "PL-3U", "view-serializable"},
		"strong-snapshot-isolation":         {"strong-session-snapshot-isolation", "strong-PL-2"},
		"strong-session-snapshot-isolation": {"PL-SI", "strong-session-PL-2"},
		"PL-SI":                             {"PL-FCV", "PL-MSR", "monotonic-atomic-view", "parallel-snapshot-isolation", "prefix"},
		"PL-3U":                             {"PL-FCV"},
		"PL-FCV":                            {"PL-2+"},
		"PL-2+":                             {"PL-CS", "PL-2L"},
		"PL-2.99":                           {"PL-CS", "monotonic-atomic-view"},
		"PL-CS":                             {"PL-2"},
		"PL-2L":                             {"PL-2"},
		"PL-MSR":                            {"PL-2"},
		"parallel-snapshot-isolation":       {"causal-cerone", "update-atomic"},
		"prefix":                            {"causal-cerone"},
		"causal-cerone":                     {"read-atomic"},
		"update-atomic":                     {"read-atomic"},
		"read-atomic":                       {"monotonic-atomic-view"},
		"monotonic-atomic-view":             {"PL-2"},
		"PL-2":                              {"PL-1"},
		"strong-PL-2":                       {"strong-PL-1", "strong-session-PL-2"},
		"strong-PL-1":                       {"strong-session-PL-1"},
		"strong-session-PL-2":               {"PL-2", "strong-session-PL-1"},
		"strong-session-PL-1":               {"PL-1"},
		"linearizable":                      {"sequential"},
		"sequential":                        {"causal"},
		"causal":                            {"writes-follow-reads", "PRAM"},
		"PRAM":                              {"monotonic-reads", "monotonic-writes", "read-your-writes"},
	}
})

// direct are the anomalies that a model forbids by its own definition.
var direct = sync.OnceValue(func() map[string][]string {
	return map[string][]string{
		"PL-1":                              {G0, DuplicateElements, CyclicVersions, GarbageRead},
		"PL-2":                              {"G1"},
		"PL-CS":                             {"G1", "G-cursor", LostUpdate},
		"PL-2L":                             {"G-monotonic"},
		"PL-MSR":                            {"G-MSR"},
		"PL-2+":                             {GSingle},
		"PL-FCV":                            {"G-SIb"},
		"PL-3U":                             {"G-update"},
		"PL-2.99":                           {G2Item, LostUpdate},
		"PL-SI":                             {Internal, "G1", "G-SI", GNonadjacent},
		"PL-3":                              {G2, PredicateReadMiss},
		"read-atomic":                       {Internal, G1a, FutureRead},
		"update-atomic":                     {LostUpdate},
		"strong-session-PL-1":               {G0 + WithProcess},
		"strong-session-PL-2":               {G1c + WithProcess},
		"strong-session-snapshot-isolation": {"G1" + WithProcess, GNonadjacent + WithProcess},
		"strong-session-serializable":       {G2 + WithProcess},
		"strong-PL-1":                       {G0 + WithRealtime},
		"strong-PL-2":                       {G1c + WithRealtime},
		"strong-snapshot-isolation":         {"G1" + WithRealtime, GNonadjacent + WithRealtime},
		"PL-SS":                             {G1c + WithRealtime, G2 + WithRealtime},
	}
})
