package redis

import (
	"context"

	"github.com/capstan-dev/capstan/workloads/txn"
)

var (
	_ txn.Appender  = (*Conn)(nil)
	_ txn.Registers = (*Conn)(nil)
)

// AppendTxn implements txn.Appender by MULTI and EXEC.
func (c *Conn) AppendTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	results, err := c.transact(ctx, mops, func(m txn.Mop) command {
		if m.F == "r" {
			return command{"LRANGE", key("list", m.Key), 0, -1}
		}
		return command{"RPUSH", key("list", m.Key), m.Value}
	})
	for i := range results {
		if m := &mops[i]; m.F == "r" && err == nil {
			m.List, err = ints(results[i], nil)
		}
	}
	return mops, err
}

// WriteTxn implements txn.Registers by MULTI and EXEC.
func (c *Conn) WriteTxn(ctx context.Context, mops []txn.Mop) ([]txn.Mop, error) {
	results, err := c.transact(ctx, mops, func(m txn.Mop) command {
		if m.F == "r" {
			return command{"GET", key("wr", m.Key)}
		}
		return command{"SET", key("wr", m.Key), m.Value}
	})
	for i := range results {
		if m := &mops[i]; m.F == "r" && err == nil {
			m.Value, m.Known, err = number(results[i])
		}
	}
	return mops, err
}

func (c *Conn) transact(ctx context.Context, mops []txn.Mop, make func(txn.Mop) command) ([]any, error) {
	var commands []command
	writes := false
	for _, m := range mops {
		commands = append(commands, make(m))
		writes = writes || m.F != "r"
	}
	return c.atomically(ctx, commands, writes)
}
