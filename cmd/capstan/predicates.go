package main

import (
	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/txn"
	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/checker/txn/predicate"
	"github.com/capstan-dev/capstan/history"
)

// closedPredicate reads transactions with predicates, and says where one is none.
func closedPredicate(path string, h *history.History, o checkOptions) (checker.Checker, error) {
	u, err := predicate.Read(h)
	if err != nil {
		return nil, log.InFile(path, len(h.Events), err)
	}
	c, err := txn.NewClosedPredicate(o.consistency)
	if err != nil {
		return nil, err
	}
	return judged{c.Of(u), u.Log}, nil
}
