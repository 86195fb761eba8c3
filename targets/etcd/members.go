package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/targets/deploy"
)

func (s *system) members() *cluster.Members {
	m := &cluster.Members{List: s.list, Upgrade: s.Upgrade}
	if s.Spec.Nodes == 1 {
		for _, verb := range []string{"Remove", "Add", "Transfer"} {
			s.Cluster().Why["Members."+verb] = "there is one member only"
		}
		return m
	}
	m.Remove, m.Add, m.Transfer = s.remove, s.add, s.transfer
	return m
}

// through asks the nodes one after another, but for one, until one has done what
// it was asked.
func (s *system) through(ctx context.Context, not string, do func(context.Context, *session) error) error {
	var errs []error
	for _, n := range s.Members() {
		if n == not {
			continue
		}
		err := s.at(ctx, n, do)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("through %s: %w", n, err))
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// at asks a node over a connection of its own.
func (s *system) at(ctx context.Context, node string, do func(context.Context, *session) error) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.dial(ctx, node)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(ctx, c)
}

// known are the members by the nodes they run on. One that has not started has
// no name, but it has its peers' address.
func known(ctx context.Context, c *session, nodes []string) (map[string]uint64, error) {
	resp, err := c.cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	ids := map[string]uint64{}
	for _, m := range resp.Members {
		for _, n := range nodes {
			if slices.Contains(m.PeerURLs, peerURL(n)) {
				ids[n] = m.ID
			}
		}
	}
	return ids, nil
}

func (s *system) list(ctx context.Context) (names []string, err error) {
	nodes := s.Cluster().Nodes
	err = s.through(ctx, "", func(ctx context.Context, c *session) error {
		ids, err := known(ctx, c, nodes)
		names = slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return ids[n] == 0 })
		return err
	})
	return names, err
}

// remove takes a member out by the vote of the others, and stops it.
func (s *system) remove(ctx context.Context, node string) error {
	err := s.patiently(ctx, func() error {
		return s.through(ctx, node, func(ctx context.Context, c *session) error {
			ids, err := known(ctx, c, []string{node})
			if err != nil || ids[node] == 0 {
				return err
			}
			_, err = c.cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: ids[node]})
			return err
		})
	})
	if err == nil {
		err = s.Retire(ctx, node)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", node, err)
	}
	return nil
}

// add makes a removed node a new member, which gets its data from the others.
func (s *system) add(ctx context.Context, node string) error {
	err := s.patiently(ctx, func() error {
		return s.through(ctx, node, func(ctx context.Context, c *session) error {
			ids, err := known(ctx, c, []string{node})
			if err != nil || ids[node] != 0 {
				return err
			}
			_, err = c.cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: []string{peerURL(node)}})
			return err
		})
	})
	if err == nil {
		names := slices.DeleteFunc(slices.Clone(s.Cluster().Nodes), func(n string) bool {
			return n != node && !slices.Contains(s.Members(), n)
		})
		err = s.RenewAs(ctx, node, arguments(s.Spec, s.volume, node, "existing", names))
	}
	if err == nil {
		err = s.patiently(ctx, func() error {
			_, err := s.askMember(ctx, node, len(s.Members()))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("add %s: %w", node, err)
	}
	return nil
}

// changeTimeout bounds a change of the members. While they elect a leader, or
// one of them has just come, they refuse it.
const changeTimeout = 15 * time.Second

// patiently tries again until it succeeds, which may be because an earlier try
// did.
func (s *system) patiently(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	return deploy.Poll(ctx, deploy.PollEvery, try)
}

// transfer lets the leader hand over.
func (s *system) transfer(ctx context.Context, to string) error {
	leaders, err := s.primaries(ctx)
	if err != nil {
		return fmt.Errorf("transfer to %s: %w", to, err)
	}
	if slices.Contains(leaders, to) {
		return nil
	}
	errs := []error{errors.New("no member leads that would hand over")}
	for _, leader := range leaders {
		err := s.at(ctx, leader, func(ctx context.Context, c *session) error {
			ids, err := known(ctx, c, []string{to})
			if err != nil {
				return err
			}
			_, err = c.maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: ids[to]})
			return err
		})
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("from %s: %w", leader, err))
	}
	return fmt.Errorf("transfer to %s: %w", to, errors.Join(errs...))
}
