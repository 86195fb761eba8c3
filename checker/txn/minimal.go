package txn

import (
	"context"
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/checker/txn/explain"
	"github.com/capstan-dev/capstan/checker/txn/infer"
	"github.com/capstan-dev/capstan/checker/txn/log"
)

// Shrinking is the same check, which also looks for the fewest transactions that
// show the first anomaly by themselves, none of which can be left out.
func (c *Isolation) Shrinking() *Isolation {
	out := *c
	out.shrink = true
	return &out
}

// needed tells the transactions that show an anomaly by themselves; empty if
// there was no time to find them.
func (c *Isolation) needed(ctx context.Context, l *log.Log, a infer.Anomaly, teller *explain.Teller) string {
	txns, minimal := explain.Shrink(ctx, l, a, func(part *log.Log) bool {
		o, err := Check(ctx, part, c.infer)
		return err == nil && o.Counts[a.Kind] > 0
	})
	if len(txns) == 0 {
		return "\n  There was no time to find the transactions that show it by themselves."
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n  %d of %d transactions show it by themselves", len(txns), len(l.Txns))
	if minimal {
		s.WriteString(", and none of them can be left out")
	}
	s.WriteString(":")
	for _, t := range txns {
		s.WriteString("\n  " + teller.Transaction(t))
	}
	return s.String()
}
