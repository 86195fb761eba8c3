package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/capstan-dev/capstan/targets/deploy"
)

// Ready implements targets.System: every member knows the same leader and the
// same members, and answers a linearizable read, for which it must have caught
// up.
func (s *system) Ready(ctx context.Context) error { return s.Await(ctx, s.ask) }

// ask is nil if the cluster is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	nodes := s.Members()
	leader := uint64(0)
	for _, n := range nodes {
		status, err := s.askMember(ctx, n, len(nodes))
		if err != nil {
			return deploy.NotReady(n, err)
		}
		if leader == 0 {
			leader = status.Leader
			s.SetVersion("etcd", status.Version)
		}
		if leader != status.Leader {
			return deploy.NotReady(n, errors.New("it follows another leader"))
		}
	}
	return nil
}

func (s *system) askMember(ctx context.Context, node string, members int) (*pb.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.dial(ctx, node)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	status, err := c.maintenance.Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("ask for its status: %w", err)
	}
	if status.Leader == 0 || len(status.Errors) > 0 {
		return nil, fmt.Errorf("no leader, or worse: %s", strings.Join(status.Errors, "; "))
	}
	list, err := c.cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
	if err != nil {
		return nil, fmt.Errorf("list members: %w", err)
	}
	if len(list.Members) != members {
		return nil, fmt.Errorf("it knows %d members, want %d", len(list.Members), members)
	}
	if _, err := c.kv.Get(ctx, "ready"); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return status, nil
}

// primaries asks every member whether it takes itself for the leader. Those that
// do not answer are left out.
func (s *system) primaries(ctx context.Context) ([]string, error) {
	return s.Where(ctx, s.Members(), s.leads)
}

func (s *system) leads(ctx context.Context, node string) bool {
	c, err := s.dial(ctx, node)
	if err != nil {
		return false
	}
	defer c.Close()
	status, err := c.maintenance.Status(ctx, &pb.StatusRequest{})
	return err == nil && status.Leader != 0 && status.Leader == status.Header.MemberId
}
