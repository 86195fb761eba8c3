package txn

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/phase"
	"github.com/capstan-dev/capstan/checker/txn/adya"
	"github.com/capstan-dev/capstan/checker/txn/explain"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	lists "github.com/capstan-dev/capstan/checker/txn/infer/append"
	"github.com/capstan-dev/capstan/checker/txn/infer/set"
	"github.com/capstan-dev/capstan/checker/txn/infer/wr"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Isolation checks histories of transactions against a model.
type Isolation struct {
	name, model string
	infer       Infer
	read        func(*history.History) (*log.Log, error)
	shrink      bool // say which transactions are needed to show the first anomaly
}

var _ checker.Checker = (*Isolation)(nil)

// The kinds of histories.
const (
	ListAppend = "list-append"
	RWRegister = "rw-register"
	SetAdd     = "set-add"
)

// NewListAppend checks transactions that append to lists and read them against
// a model; empty: strict-serializable. It is an error if there is no such model.
func NewListAppend(model string) (*Isolation, error) {
	return newIsolation(ListAppend, model, lists.Infer)
}

// NewRWRegister checks transactions that write registers and read them.
func NewRWRegister(model string, o wr.Options) (*Isolation, error) {
	return newIsolation(RWRegister, model, func(l *log.Log) (*infer.Inference, error) { return wr.Infer(l, o) })
}

// NewSetAdd checks transactions that add elements to sets and read these.
func NewSetAdd(model string) (*Isolation, error) {
	c, err := newIsolation(SetAdd, model, set.Infer)
	if err != nil {
		return nil, err
	}
	c.read = log.SetsFromHistory
	return c, nil
}

func newIsolation(name, model string, inf Infer) (*Isolation, error) {
	if model == "" {
		model = adya.StrictSerializable
	}
	model = adya.Unabbreviated(model)
	if !adya.Known(model) {
		return nil, fmt.Errorf("unknown consistency model %q%s; there are: %s", model, nearest.Hint(model, adya.Names()), strings.Join(adya.Checkable(), ", "))
	}
	if !adya.Checked(model) {
		return nil, fmt.Errorf("model %s cannot be checked on transactions: no anomaly of theirs refutes it", model)
	}
	return &Isolation{name: name, model: adya.Friendly(model), infer: inf, read: log.FromHistory}, nil
}

// Name is the kind of histories that are checked.
func (c *Isolation) Name() string { return c.name }

// Check judges a history.
func (c *Isolation) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	l, err := c.read(h)
	if err != nil {
		return checker.Result{}, err
	}
	return c.Judge(ctx, l)
}

// Judge judges a log.
func (c *Isolation) Judge(ctx context.Context, l *log.Log) (checker.Result, error) {
	o, err := Check(ctx, l, c.infer)
	if err != nil {
		return checker.Result{}, err
	}
	teller := explain.New(l, faults(l))
	res, err := c.result(l, o, teller)
	if c.shrink && res.Verdict == checker.Invalid {
		first := slices.IndexFunc(o.Anomalies, func(a infer.Anomaly) bool { return a.Kind == res.Anomalies[0].Kind })
		res.Anomalies[0].Text += c.needed(ctx, l, o.Anomalies[first], teller)
	}
	return res, err
}

// faults are those that the nemesis told of; the last one may go on to the end
// of the history.
func faults(l *log.Log) *phase.Timeline {
	var end time.Duration
	for i := range l.Txns {
		end = max(end, l.Txns[i].End)
	}
	h := history.History{Events: slices.Clone(l.Nemesis)}
	if n := len(h.Events); n > 0 {
		end = max(end, h.Events[n-1].Time)
	}
	h.Events = append(h.Events, history.Event{Time: end})
	return phase.Of(&h)
}

// Figures are what a result has as its data.
type Figures struct {
	Model        string         `json:"model"` // against which it was checked
	OK           int            `json:"ok"`
	Info         int            `json:"info"`
	Fail         int            `json:"fail"`
	AnomalyTypes []string       `json:"anomaly_types"` // the worst first
	Counts       map[string]int `json:"counts"`
	// Prohibited are the anomalies that the model forbids; the others were
	// only noticed.
	Prohibited []string `json:"prohibited"`
	Models
	Open []string `json:"open,omitempty"`
	// Pictures are the cycles among the anomalies, for drawing.
	Pictures []explain.Picture `json:"pictures,omitempty"`
}

// Models are the models of isolation in the light of what was found.
type Models struct {
	// Refuted are the weakest that the kinds of anomalies refute, AlsoRefuted
	// all that are stronger and what a cycle refutes by its form, NotRefuted
	// the others, Strongest the strongest among those.
	Refuted     []string `json:"refuted"`
	AlsoRefuted []string `json:"also_refuted"`
	NotRefuted  []string `json:"not_refuted"`
	Strongest   []string `json:"strongest_not_refuted"`
}

func (c *Isolation) figures(o *Outcome, forbidden func(infer.Anomaly) bool) Figures {
	list := func(s []string) []string { return append([]string{}, s...) }
	f := Figures{
		Model: c.model, OK: o.OK, Info: o.Info, Fail: o.Fail, AnomalyTypes: list(o.kinds()), Counts: o.Counts,
		Prohibited: prohibited(o, forbidden), Open: o.Open,
		Models: Models{list(o.Refuted), list(o.AlsoRefuted), list(o.NotRefuted), list(o.Strongest)},
	}
	return f
}

// forbidden says of each anomaly whether the model forbids it: by its kind, or a
// cycle by its form.
func (c *Isolation) forbidden(o *Outcome) func(infer.Anomaly) bool {
	kinds := adya.Proscribed(c.model, o.kinds())
	return func(a infer.Anomaly) bool {
		return kinds[a.Kind] || a.Cycle != nil && adya.Follows(c.model, a.Cycle.Refutes)
	}
}

// prohibited are the kinds of the anomalies that are forbidden, the worst first.
func prohibited(o *Outcome, forbidden func(infer.Anomaly) bool) []string {
	kinds := []string{}
	for _, a := range o.Anomalies { // which come sorted by kind
		if forbidden(a) {
			kinds = append(kinds, a.Kind)
		}
	}
	return slices.Compact(kinds)
}

// result is what an outcome means for the model.
func (c *Isolation) result(l *log.Log, o *Outcome, teller *explain.Teller) (checker.Result, error) {
	forbidden := c.forbidden(o)
	f := c.figures(o, forbidden)
	res := checker.Result{Notes: c.notes(o, f)}
	first := slices.IndexFunc(o.Anomalies, forbidden)
	anomalies := slices.Clone(o.Anomalies)
	if first > 0 { // the worst that is forbidden comes first
		anomalies = slices.Insert(slices.Delete(anomalies, first, first+1), 0, o.Anomalies[first])
	}
	for _, a := range anomalies {
		res.Anomalies = append(res.Anomalies, anomaly(l, a, teller))
	}
	f.Pictures = teller.Pictures(anomalies)
	all := fmt.Sprintf("%d transactions", o.OK+o.Info+o.Fail)
	switch {
	case first >= 0:
		res.Verdict = checker.Invalid
		weakest := o.Refuted
		if !adya.Follows(c.model, weakest) {
			weakest = append(slices.Clone(weakest), o.Besides...)
		}
		res.Reason = fmt.Sprintf("not %s: %s in %s", strings.Join(weakest, ", not "), counted(f.AnomalyTypes, o.Counts), all)
	case len(o.Open) > 0:
		res.Verdict, res.Reason = checker.Unknown, o.Open[0]
	default:
		res.Reason = fmt.Sprintf("no violation of %s found in %s", c.model, all)
		if len(f.AnomalyTypes) > 0 {
			res.Reason += fmt.Sprintf("; noticed, and allowed by it: %s", counted(f.AnomalyTypes, o.Counts))
		}
	}
	var err error
	if res.Data, err = json.Marshal(f); err != nil {
		return res, fmt.Errorf("encode figures: %w", err)
	}
	return res, nil
}

func anomaly(l *log.Log, a infer.Anomaly, teller *explain.Teller) checker.Anomaly {
	out := checker.Anomaly{Kind: a.Kind, Events: teller.Events(a), Text: teller.Text(a)}
	if a.Found != nil && a.Found.Key != infer.None {
		out.Key = l.Keys[a.Found.Key]
	}
	return out
}

// counted is "2 G0, 1 G1a".
func counted(kinds []string, counts map[string]int) string {
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%d %s", counts[k], k))
	}
	return strings.Join(parts, ", ")
}

// notes say what follows for the models, and what was not looked at.
func (c *Isolation) notes(o *Outcome, f Figures) []string {
	notes := slices.Clone(o.Notes)
	if len(o.Refuted) > 0 {
		notes = append(notes, "refuted: "+strings.Join(o.Refuted, ", ")+", and all that is stronger")
		if len(o.Besides) > 0 {
			notes = append(notes, "refuted by the form of a cycle: "+strings.Join(o.Besides, ", ")+", and all that is stronger")
		}
		notes = append(notes, "strongest not refuted: "+strings.Join(o.Strongest, ", "))
	}
	if o.Counts[adya.IncompatibleOrder] > 0 {
		notes = append(notes, "reads of a key contradict each other: its order is that of the longest one, and cycles through it are only as good as that")
	}
	return append(notes, f.Open...)
}
