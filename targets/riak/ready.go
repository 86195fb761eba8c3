package riak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// adminTimeout bounds a command, which starts a virtual machine of its own.
const adminTimeout = 30 * time.Second

// Ready implements targets.System: every node knows all members of the ring and
// the types of buckets, and reads and writes at the levels. The first time it
// forms the ring.
func (s *system) Ready(ctx context.Context) error { return s.Await(ctx, s.ask) }

// ask is nil if the ring is ready at this moment.
func (s *system) ask(ctx context.Context) error {
	if !s.formed.Load() {
		if err := s.form(ctx); err != nil {
			return err
		}
		s.formed.Store(true)
	}
	for _, n := range s.Cluster().Nodes {
		members, err := s.members(ctx, n)
		if err == nil && len(members) < s.Spec.Nodes {
			err = fmt.Errorf("its ring is of %s", strings.Join(members, ", "))
		}
		if err == nil {
			err = s.probe(ctx, n)
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
	}
	return nil
}

// first is the node that the others join.
func (s *system) first() string { return s.Cluster().Nodes[0] }

// members are those of the ring that a node knows.
func (s *system) members(ctx context.Context, node string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.open(ctx, node)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	a, err := c.do(ctx, http.MethodGet, "/stats", http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for its statistics: %w", err)
	}
	var stats struct {
		Members []string `json:"ring_members"`
		Version string   `json:"riak_kv_version"`
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("ask for its statistics: %w", a.refusal())
	}
	if err := json.Unmarshal(a.body, &stats); err != nil {
		return nil, fmt.Errorf("read its statistics: %w", err)
	}
	if stats.Version != "" {
		s.SetVersion("riak_kv", stats.Version)
	}
	return stats.Members, nil
}

// form joins all nodes to the first one, and makes the types of buckets.
func (s *system) form(ctx context.Context) error {
	small := false
	for _, n := range s.Cluster().Nodes {
		members, err := s.members(ctx, n)
		if err == nil && len(members) == 1 && n != s.first() {
			err = s.admin(ctx, n, "cluster", "join", "riak@"+s.Docker.Nodes[0].IP.String())
		}
		if err != nil {
			return deploy.NotReady(n, err)
		}
		small = small || len(members) < s.Spec.Nodes
	}
	var err error
	if small {
		// That there is nothing left to be carried out is told as an error.
		_ = s.admin(ctx, s.first(), "cluster", "plan")
		_ = s.admin(ctx, s.first(), "cluster", "commit")
		err = errors.New("the others are joining it")
	} else if err = s.admin(ctx, s.first(), "ringready"); err == nil {
		err = s.makeTypes(ctx)
	}
	if err != nil {
		return deploy.NotReady(s.first(), err)
	}
	return nil
}

// makeTypes makes the types of buckets, and has them used.
func (s *system) makeTypes(ctx context.Context) error {
	types := bucketTypes(s.Spec.Levels)
	for _, t := range slices.Sorted(maps.Keys(types)) {
		props, err := json.Marshal(map[string]any{"props": types[t]})
		if err != nil {
			return fmt.Errorf("encode bucket type %s: %w", t, err)
		}
		// It may be there since the last time, and not be active.
		create := s.admin(ctx, s.first(), "bucket-type", "create", t, string(props))
		if err := s.admin(ctx, s.first(), "bucket-type", "activate", t); err != nil {
			return errors.Join(create, err)
		}
	}
	return nil
}

// bucketTypes are the properties of those that the level needs.
func bucketTypes(levels map[string]string) map[string]map[string]any {
	replicas := json.Number(levels[levelReplicas])
	with := func(name string, value any) map[string]any {
		return map[string]any{"n_val": replicas, name: value}
	}
	switch levels[levelResolve] {
	case resolveCRDT:
		return map[string]map[string]any{
			typeSets: with("datatype", "set"), typeCounters: with("datatype", "counter"), typeMaps: with("datatype", "map"),
		}
	case resolveStrong:
		return map[string]map[string]any{typeObjects: with("consistent", true)}
	case resolveLWW:
		props := with("last_write_wins", true)
		props["allow_mult"] = false
		return map[string]map[string]any{typeObjects: props}
	}
	return map[string]map[string]any{typeObjects: with("allow_mult", true)}
}

// admin runs a command of Riak's administration on a node.
func (s *system) admin(ctx context.Context, node string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, adminTimeout)
	defer cancel()
	var out bytes.Buffer
	code, err := s.Engine.Shell(ctx, s.Spec.RunID, node, docker.RoleServer, append([]string{admin}, args...),
		docker.Terminal{In: strings.NewReader(""), Out: &out, Err: &out})
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d: %s", code, strings.Join(strings.Fields(out.String()), " "))
	}
	if err != nil {
		return fmt.Errorf("riak admin %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// probe reads and writes through a node, in a bucket of its own.
func (s *system) probe(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, deploy.AskTimeout)
	defer cancel()
	c, err := s.open(ctx, node)
	if err != nil {
		return err
	}
	defer c.Close()
	if c.resolves(resolveCRDT) {
		var elements []string
		_, read := c.fetchData(ctx, typeSets, "probe", only, &elements)
		return errors.Join(read,
			c.update(ctx, typeSets, "probe", only, map[string]string{"add": node}),
			c.update(ctx, typeCounters, "probe", only, map[string]int{"increment": 1}),
			c.update(ctx, typeMaps, "probe", only, map[string]inMap{"update": {node}}))
	}
	return c.change(ctx, "probe", node, func(object) (string, error) { return node, nil })
}
