package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// roleFile names the primary for the entry script.
func roleFile(primary string) docker.File {
	return docker.File{Path: "/capstan-primary", Mode: 0o644, Content: []byte(primary + "\n")}
}

// primary is whom the operator made primary last.
func (s *system) primary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.role
}

// transfer does what an operator does. If the primary answers, and the new one
// receives from it, it is shut down, which sends all that it has before. The
// new one is promoted with what it has, and the other standbys follow it. A
// primary that is dead or out of reach is left alone: it copies the new one when
// it starts again, and if it lives it goes on as a second one until Ready
// restarts it.
func (s *system) transfer(ctx context.Context, to string) error {
	from := s.primary()
	if from == to {
		return nil
	}
	orderly := s.reaches(ctx, from, to) == nil
	if orderly {
		if err := s.Docker.Procs.Stop(ctx, from); err != nil {
			return fmt.Errorf("transfer to %s: %w", to, err)
		}
	}
	if err := s.promote(ctx, to); err != nil {
		return err
	}
	s.mu.Lock()
	s.forced = s.forced || !orderly
	s.mu.Unlock()
	for _, n := range s.Members() {
		if n != from && n != to {
			_ = s.repoint(ctx, n, to) // one that is not to be reached now follows when Ready finds it
		}
	}
	if orderly {
		return s.Docker.Procs.Start(ctx, from)
	}
	return nil
}

// promote makes a standby the primary, here and for every node that starts.
func (s *system) promote(ctx context.Context, node string) error {
	row, err := s.query(ctx, node, "capstan-members", "SELECT pg_promote(true, 10)")
	if err == nil && row[0] != "t" {
		err = errors.New("it is not done in time")
	}
	if err == nil {
		err = s.Docker.Put(ctx, roleFile(node))
	}
	if err != nil {
		return fmt.Errorf("promote %s: %w", node, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role = node
	s.missing = map[string]time.Time{}
	return nil
}

// reaches is nil if what the primary writes now soon arrives at a standby.
func (s *system) reaches(ctx context.Context, primary, standby string) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	at, err := s.query(ctx, primary, "capstan-members", "SELECT pg_create_restore_point('capstan')")
	if err != nil {
		return err
	}
	tick := time.NewTicker(deploy.PollEvery)
	defer tick.Stop()
	for {
		row, err := s.query(ctx, standby, "capstan-members", "SELECT pg_last_wal_receive_lsn() >= $1::pg_lsn", at[0])
		if err != nil || row[0] == "t" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// repoint lets a standby follow another primary without a restart.
func (s *system) repoint(ctx context.Context, standby, primary string) error {
	_, err := s.query(ctx, primary, "capstan-members", `SELECT count(pg_create_physical_replication_slot($1, true))
		WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`, standby)
	if err != nil {
		return fmt.Errorf("make a slot for %s: %w", standby, err)
	}
	row, err := s.query(ctx, standby, "capstan-members",
		`SELECT quote_literal(regexp_replace(current_setting('primary_conninfo'), 'host=\S+', 'host=' || $1)), pg_is_in_recovery()`, primary)
	if err != nil {
		return err
	}
	if row[1] != "t" {
		return fmt.Errorf("%s is no standby", standby)
	}
	return s.on(ctx, standby, func(ctx context.Context, ses *session) error {
		for _, sql := range []string{"ALTER SYSTEM SET primary_conninfo = " + row[0], "SELECT pg_reload_conf()"} {
			if _, err := ses.exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// rejoinAfter is how long a standby may be without the primary's stream, while
// both answer, until it copies the primary.
const rejoinAfter = 8 * time.Second

// rejoin brings a node back that does not stream from the primary, after the
// role was handed over: a former primary, which copies the new one when it
// starts, and a standby that had received more than the new primary.
func (s *system) rejoin(ctx context.Context, node string) error {
	if !s.moved() {
		return nil
	}
	row, err := s.query(ctx, node, "capstan-ready", "SELECT pg_is_in_recovery()")
	if err != nil {
		return err
	}
	if row[0] == "t" && s.missingFor(node) < rejoinAfter {
		return s.repoint(ctx, node, s.primary())
	}
	if err := s.Docker.Procs.Kill(ctx, node); err != nil {
		return err
	}
	if row[0] == "t" {
		return s.Renew(ctx, node)
	}
	return s.Docker.Procs.Start(ctx, node)
}

// moved is true once the role was handed over here.
func (s *system) moved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing != nil
}

func (s *system) wasForced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forced
}

// missingFor is for how long a node has been without the primary's stream; it
// begins anew once that was too long.
func (s *system) missingFor(node string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	since, ok := s.missing[node]
	if !ok {
		since = time.Now()
		s.missing[node] = since
	}
	gone := time.Since(since)
	if gone >= rejoinAfter {
		delete(s.missing, node)
	}
	return gone
}
