package txn

import (
	"context"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn/predicate"
	"github.com/capstan-dev/capstan/history"
)

// ClosedPredicate are histories with predicate reads of which all versions are
// known.
const ClosedPredicate = "closed-predicate"

// Predicates checks histories with predicate reads against a model.
type Predicates struct{ isolation *Isolation }

var _ checker.Checker = (*Predicates)(nil)

// NewClosedPredicate checks an init of all keys, followed by transactions that
// insert, delete, write and read by key and by predicate, against a model;
// empty: strict-serializable. See package predicate for what is inferred.
func NewClosedPredicate(model string) (*Predicates, error) {
	c, err := newIsolation(ClosedPredicate, model, nil)
	if err != nil {
		return nil, err
	}
	return &Predicates{c}, nil
}

// Name is closed-predicate.
func (c *Predicates) Name() string { return c.isolation.name }

// Check judges a history.
func (c *Predicates) Check(ctx context.Context, h *history.History) (checker.Result, error) {
	u, err := predicate.Read(h)
	if err != nil {
		return checker.Result{}, err
	}
	return c.Of(u).Judge(ctx, u.Log)
}

// Of checks the log of a history that was read.
func (c *Predicates) Of(u *predicate.Universe) *Isolation {
	of := *c.isolation
	of.infer = u.Infer
	return &of
}
