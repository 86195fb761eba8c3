package mysql

import (
	"context"
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/writeskew"
)

var (
	_ bank.Store      = (*Conn)(nil)
	_ monotonic.Store = (*Conn)(nil)
	_ writeskew.Store = (*Conn)(nil)
)

// OpenAccounts implements bank.Store.
func (c *Conn) OpenAccounts(ctx context.Context, n, balance int) error {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%d, %d)", i, balance)
	}
	return c.change(ctx, "INSERT IGNORE INTO accounts VALUES "+strings.Join(rows, ", "))
}
