package mysql

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// joinTimeout bounds how long a node may take to join.
const joinTimeout = 60 * time.Second

var errPrimary = errors.New("the primary cannot be removed: hand over its role before")

// members are the changes of membership that the topology knows.
func (s *system) members() *cluster.Members {
	m := &cluster.Members{Upgrade: s.Upgrade}
	switch s.Spec.Topology {
	case async, semisync:
		m.List, m.Remove, m.Add, m.Transfer = s.list, s.remove, s.add, s.transfer
	case galera:
		m.List, m.Remove, m.Add = s.listGalera, s.leave, s.add
		s.Cluster().Why["Members.Transfer"] = "in a Galera cluster every node takes writes"
	}
	return m
}

// list asks the nodes who is the primary or follows it. The primary itself lists
// a replica that is gone until it has something to send to it.
func (s *system) list(ctx context.Context) ([]string, error) {
	primary := s.primary()
	return s.Where(ctx, s.Members(), func(ctx context.Context, node string) bool {
		var st status
		err := s.on(ctx, node, func(ctx context.Context, ses *session) (err error) {
			st, err = s.status(ctx, ses)
			return err
		})
		return err == nil && (node == primary || st.of == primary && st.io == "Yes")
	})
}

// listGalera asks the nodes which of them are synced members of the cluster
// with the majority.
func (s *system) listGalera(ctx context.Context) ([]string, error) {
	return s.Where(ctx, s.Members(), func(ctx context.Context, node string) bool {
		st, err := s.galeraStatus(ctx, node)
		return err == nil && st.status == "Primary" && st.state == "Synced"
	})
}

// remove stops a replica.
func (s *system) remove(ctx context.Context, node string) error {
	if node == s.primary() {
		return fmt.Errorf("remove %s: %w", node, errPrimary)
	}
	return s.leave(ctx, node)
}

func (s *system) leave(ctx context.Context, node string) error {
	if err := s.Retire(ctx, node); err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	return nil
}

// add lets a node join again on an empty disk.
func (s *system) add(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	err := s.Renew(ctx, node)
	if err == nil {
		err = s.Await(ctx, func(ctx context.Context) error { return s.askOne(ctx, node) })
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", node, err)
	}
	return nil
}

// askOne is nil if this node is a member, whatever the others are.
func (s *system) askOne(ctx context.Context, node string) error {
	if s.Spec.Topology == galera {
		st, err := s.galeraStatus(ctx, node)
		if err == nil && (st.status != "Primary" || st.state != "Synced") {
			err = fmt.Errorf("its cluster is %s, the node is %s", st.status, st.state)
		}
		return err
	}
	primary := s.primary()
	if err := s.enlist(ctx, node, primary); err != nil {
		return err
	}
	position, err := s.askPrimary(ctx, primary)
	if err != nil {
		return deploy.NotReady(primary, err)
	}
	return s.askReplica(ctx, node, position)
}

// renew starts a node on an empty disk.
func (s *system) renew(ctx context.Context, node string) error {
	if err := s.Docker.Procs.Kill(ctx, node); err != nil {
		return err
	}
	return s.Renew(ctx, node)
}

// transfer does what an operator does. If the primary answers, and the new one
// receives from it, writes stop until the new one has all. Otherwise the new one
// is promoted with what it has: the old primary is dead or out of reach, and if
// it lives it goes on as a second one until Ready lets it follow.
func (s *system) transfer(ctx context.Context, to string) error {
	from := s.primary()
	if from == to {
		return nil
	}
	if err := s.Docker.Put(ctx, roleFile(to)); err != nil {
		return fmt.Errorf("transfer to %s: %w", to, err)
	}
	stopped := s.handOver(ctx, from, to)
	if err := s.promote(ctx, to); err != nil {
		return fmt.Errorf("promote %s: %w", to, err)
	}
	s.mu.Lock()
	s.role, s.handed, s.forced = to, true, s.forced || !stopped
	s.mu.Unlock()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, n := range s.Members() {
		if n == to || n == from && !stopped {
			continue
		}
		wg.Go(func() {
			// One that is not to be reached now follows when Ready finds it.
			_ = s.onFor(ctx, promoteTimeout, n, func(ctx context.Context, ses *session) error { return s.follow(ctx, ses, to) })
		})
	}
	return nil
}

// handOver stops the writes on a primary until another node has them all; false
// if that cannot be.
func (s *system) handOver(ctx context.Context, from, to string) bool {
	err := s.on(ctx, from, func(ctx context.Context, old *session) error {
		if err := s.reaches(ctx, old, to); err != nil {
			return err
		}
		if err := old.run(ctx, "SET GLOBAL read_only = 1"); err != nil {
			return err
		}
		if err := s.reaches(ctx, old, to); err != nil {
			return errors.Join(err, old.run(ctx, "SET GLOBAL read_only = 0"))
		}
		return nil
	})
	return err == nil
}

// reaches is nil if a replica soon has what the primary has now. It writes
// something, or a primary without writes would seem to reach everybody.
func (s *system) reaches(ctx context.Context, old *session, to string) error {
	if err := old.run(ctx, "FLUSH STATUS"); err != nil { // it is in the binary log
		return err
	}
	row, err := old.row(ctx, s.dialect.position)
	if err != nil {
		return err
	}
	return s.on(ctx, to, func(ctx context.Context, ses *session) error {
		has, err := ses.row(ctx, s.dialect.caughtUp(row[0], 1))
		if err == nil && has[0] != "0" {
			err = errors.New("replica is behind the primary")
		}
		return err
	})
}

// promoteTimeout bounds a promotion: a replica that is connecting to a primary
// out of reach does not stop before its slave_net_timeout of 4 s.
const promoteTimeout = 15 * time.Second

// promote makes a replica the primary. It first applies what it has received.
func (s *system) promote(ctx context.Context, node string) error {
	return s.onFor(ctx, promoteTimeout, node, func(ctx context.Context, ses *session) error {
		if err := s.drain(ctx, ses); err != nil {
			return err
		}
		statements := append([]string{}, s.dialect.forget...)
		if s.Spec.Topology == semisync {
			statements = append(statements, "SET GLOBAL "+s.dialect.semiPrimary+" = 1")
		}
		return ses.run(ctx, append(statements, "SET GLOBAL read_only = 0")...)
	})
}

// drain stops receiving, and waits until what was received is applied, as an
// operator does who would not lose it.
func (s *system) drain(ctx context.Context, ses *session) error {
	if err := ses.run(ctx, s.dialect.stopReceiving); err != nil {
		return err
	}
	tick := time.NewTicker(deploy.PollEvery)
	defer tick.Stop()
	for {
		st, err := s.status(ctx, ses)
		if err != nil || st.applied() || st.sql != "Yes" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
