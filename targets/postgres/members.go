package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// members are the changes of membership that this deployment knows. Only
// Patroni takes the primary out of the system.
func (s *system) members() *cluster.Members {
	m := &cluster.Members{List: s.list, Upgrade: s.Upgrade}
	switch s.Spec.Topology {
	case patroni:
		return &cluster.Members{List: s.listPatroni, Remove: s.Retire, Add: s.add, Transfer: s.transferPatroni}
	case "async", "sync":
		m.Remove, m.Add, m.Transfer = s.remove, s.add, s.transfer
	}
	return m
}

// joinTimeout bounds the copy of the primary's data.
const joinTimeout = 30 * time.Second

var errPrimary = errors.New("the primary cannot be removed: there is no failover; hand over its role before")

// list asks the primary who streams from it.
func (s *system) list(ctx context.Context) ([]string, error) {
	primary := s.primary()
	row, err := s.query(ctx, primary, "capstan-members",
		"SELECT coalesce(string_agg(DISTINCT application_name, ',' ORDER BY application_name), '') FROM pg_stat_replication WHERE state = 'streaming'")
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	names := []string{primary}
	if row[0] != "" {
		names = append(names, strings.Split(row[0], ",")...)
	}
	return names, nil
}

// remove stops a standby, and makes the primary forget it.
func (s *system) remove(ctx context.Context, node string) error {
	primary := s.primary()
	if node == primary {
		return fmt.Errorf("remove %s: %w", node, errPrimary)
	}
	if err := s.Retire(ctx, node); err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	if err := s.dropSlot(ctx, primary, node); err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	return nil
}

// dropSlot waits until the primary has noticed that the standby is gone.
func (s *system) dropSlot(ctx context.Context, primary, node string) error {
	err := deploy.Poll(ctx, deploy.PollEvery, func() error {
		row, err := s.query(ctx, primary, "capstan-members",
			`SELECT (SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE slot_name = $1 AND NOT active),
				(SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND active)`, node)
		if err == nil && row[1] != "0" {
			err = errors.New("it is in use still")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("drop its replication slot: %w", err)
	}
	return nil
}

// add lets a standby make itself again on an empty disk.
func (s *system) add(ctx context.Context, node string) error {
	if err := s.Renew(ctx, node); err != nil {
		return fmt.Errorf("add %s: %w", node, err)
	}
	if err := s.joined(ctx, node); err != nil {
		return fmt.Errorf("add %s: %w", node, err)
	}
	return nil
}

// joined waits until the node streams from the primary.
func (s *system) joined(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if s.Spec.Topology == patroni {
		return s.joinPatroni(ctx, node)
	}
	return s.Await(ctx, func(ctx context.Context) error {
		names, err := s.list(ctx)
		if err == nil && !slices.Contains(names, node) {
			err = fmt.Errorf("from the primary stream %v", names)
		}
		return err
	})
}

// now asks a node for its own time.
func (s *system) now(ctx context.Context, node string) (time.Time, error) {
	row, err := s.query(ctx, node, "capstan-clock", "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	if err != nil {
		return time.Time{}, err
	}
	micros, err := strconv.ParseInt(row[0], 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read time: %w", err)
	}
	return time.UnixMicro(micros), nil
}

// query asks a node for one row, over a connection of its own.
func (s *system) query(ctx context.Context, node, name, sql string, args ...any) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.dial(ctx, node, name)
	if err != nil {
		return nil, err
	}
	defer c.Close(ctx)
	return c.row(ctx, sql, args...)
}
