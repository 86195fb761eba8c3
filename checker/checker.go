// Package checker judges histories: the verdict, the result with its
// anomalies, and the boundary that turns every error, panic and deadline into
// unknown, never into valid.
package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"

	"github.com/capstan-dev/capstan/history"
)

// Verdict is the outcome of a check. The order is the order of badness, so
// that verdicts merge by max.
type Verdict uint8

// Valid: no violation found. Unknown: nothing can be said, the reason is
// given. Invalid: a violation, with a witness.
const (
	Valid Verdict = iota
	Unknown
	Invalid
)

// String is the verdict's name in results.json.
func (v Verdict) String() string {
	switch v {
	case Valid:
		return "valid"
	case Unknown:
		return "unknown"
	case Invalid:
		return "invalid"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// MarshalText writes the verdict's name.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (v *Verdict) UnmarshalText(b []byte) error {
	for _, w := range []Verdict{Valid, Unknown, Invalid} {
		if string(b) == w.String() {
			*v = w
			return nil
		}
	}
	return fmt.Errorf("unknown verdict %q, want valid, unknown or invalid", b)
}

// Anomaly is one violation with its witness.
type Anomaly struct {
	// Kind is the field's name of the anomaly, e.g. "nonlinearizable", "lost".
	Kind string `json:"kind"`
	// Key is the independent key it was found on, as JSON text; empty if the
	// history has none.
	Key string `json:"key,omitempty"`
	// Events are the indexes of the events (invocations and completions) of
	// the witness, ascending.
	Events []int `json:"events"`
	// Text tells the witness in words: which operation forced which order,
	// and why that is a contradiction.
	Text string `json:"text"`
	// Cascade: it shares an operation with an earlier anomaly and may be no
	// more than its consequence.
	Cascade bool `json:"cascade,omitempty"`
}

// Result is what one checker says about one history.
type Result struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Reason is one sentence; never empty when the verdict is unknown or
	// invalid.
	Reason    string    `json:"reason"`
	Anomalies []Anomaly `json:"anomalies"`
	// Notes say how the verdict came about, a line each.
	Notes []string `json:"notes,omitempty"`
	// Data holds the checker's figures.
	Data json.RawMessage `json:"data,omitempty"`
}

// Checker judges a history. Check returns an error when it could not judge;
// callers use Run, which turns that into Unknown. Check obeys the context's
// deadline in its inner loops.
type Checker interface {
	Name() string
	Check(context.Context, *history.History) (Result, error)
}

// Run runs one checker. An error, a panic or a deadline is Unknown with the
// reason. An Invalid without an anomaly, or an Unknown without a reason, is a
// defect of the checker and comes back as Unknown that says so.
func Run(ctx context.Context, c Checker, h *history.History) (res Result) {
	defer func() {
		if p := recover(); p != nil {
			res = Result{Verdict: Unknown, Reason: fmt.Sprintf("checker panicked: %v\n%s", p, debug.Stack())}
		}
		res.Name = c.Name()
		if res.Anomalies == nil {
			res.Anomalies = []Anomaly{}
		}
	}()
	res, err := c.Check(ctx, h)
	switch {
	case err != nil && res.Verdict == Invalid && len(res.Anomalies) > 0:
		// A witness stands even if the search for more was cut short.
		res.Reason += fmt.Sprintf(" (then stopped: %v)", err)
	case err != nil:
		res.Verdict, res.Reason = Unknown, err.Error()
	case res.Verdict == Invalid && len(res.Anomalies) == 0:
		res.Verdict, res.Reason = Unknown, "checker found a violation but gave no witness: "+res.Reason
	case res.Verdict != Valid && res.Reason == "":
		res.Verdict, res.Reason = Unknown, "checker gave no reason for its verdict"
	}
	return res
}

// Worst merges verdicts: the worst wins; no results at all are Unknown.
func Worst(results []Result) Verdict {
	if len(results) == 0 {
		return Unknown
	}
	worst := Valid
	for _, r := range results {
		worst = max(worst, r.Verdict)
	}
	return worst
}
