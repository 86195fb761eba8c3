package postgres

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

// patroni is the topology with automatic failover.
const patroni = "patroni"

const (
	levelSyncMode = "synchronous_mode"
	levelDCS      = "dcs"
	levelTiming   = "timing"
)

//go:embed patroni.sh
var patroniEntry []byte

const (
	restPort  = 8008
	etcdNodes = 3
	roleEtcd  = "etcd"
)

func patroniTopology() targets.Topology {
	faults := append(targets.NetworkFaults(), targets.ContainerFaults()...)
	return targets.Topology{
		Name: patroni, Doc: "PostgreSQL under Patroni, which promotes a standby by itself; 3 nodes of etcd beside",
		Nodes: 3, Min: 2, Max: 6, Faults: append(faults, "remove", "replace", "transfer"), Conn: (*Conn)(nil),
		Levels: levels(
			targets.Level{
				Name: levelSyncMode, Doc: "off: a failover may lose what was acknowledged; on: a commit waits for a standby that may become primary, while there is one; strict: always",
				Values: []string{"off", "on", "strict"},
			},
			targets.Level{Name: levelDCS, Doc: "by which interface of etcd Patroni keeps the leader's lock", Values: []string{"etcd3", "etcd"}},
			targets.Level{
				Name: levelTiming, Doc: "Patroni's ttl, loop_wait and retry_timeout: its own 30, 10 and 10 s, or 5, 1 and 2 s, which Patroni 4 refuses",
				Values: []string{"default", "fast"},
			},
			reads(readPrimary, readReplica), commit(),
		),
	}
}

// patroniImage adds Patroni and etcd to PostgreSQL's image.
func patroniImage() docker.Image {
	base := image()
	return docker.Image{Name: "capstan-patroni", Files: folder("patroni"), Base: &base}
}

func patroniNodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	var names []string
	for i := range etcdNodes {
		names = append(names, fmt.Sprintf("e%d", i+1))
		nodes = append(nodes, docker.NodeSpec{Name: names[i]})
	}
	ttl, loop, retry := 30, 10, 10
	if spec.Levels[levelTiming] == "fast" {
		ttl, loop, retry = 5, 1, 2
	}
	mode := spec.Levels[levelSyncMode]
	env := []string{
		"ETCD=" + strings.Join(names, ","), "DCS=" + spec.Levels[levelDCS],
		fmt.Sprintf("TTL=%d", ttl), fmt.Sprintf("LOOP=%d", loop), fmt.Sprintf("RETRY=%d", retry),
		fmt.Sprintf("SYNC=%t", mode != "off"), fmt.Sprintf("STRICT=%t", mode == "strict"),
	}
	for i := range nodes {
		n := &nodes[i]
		n.Server = &docker.Server{
			Name: "patroni", Image: image.Ref, User: "postgres", Volumes: dataVolumes(image),
			Env:        append([]string{"NODE=" + n.Name, "ROLE="}, env...),
			StopSignal: "SIGTERM",
			Entrypoint: []string{"/capstan-entry.sh"},
			Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: patroniEntry}},
			ShmSize:    256 << 20,
		}
		if i < spec.Nodes {
			n.Ports = []int{port, restPort}
			continue
		}
		n.Server.Name, n.Server.Env[1], n.Server.Memory = roleEtcd, "ROLE="+roleEtcd, 256<<20
	}
	return nodes
}

// patroniRoles are the nodes' roles, and those that clients connect to.
func patroniRoles(spec targets.Spec) (roles map[string]string, serving []string) {
	roles = map[string]string{}
	for _, n := range docker.Bare(spec.Nodes) {
		serving = append(serving, n.Name)
	}
	for i := range etcdNodes {
		roles[fmt.Sprintf("e%d", i+1)] = roleEtcd
	}
	return roles, serving
}

// member is what Patroni says of one of its nodes.
type member struct{ Name, Role, State string }

// runs is true if it is a part of the cluster at this moment.
func (m member) runs() bool { return m.State == "running" || m.State == "streaming" }

// synchronous is true if commits wait for it.
func (m member) synchronous() bool { return strings.HasSuffix(m.Role, "_standby") }

// patroniMembers asks a Patroni for the members of its cluster.
func (s *system) patroniMembers(ctx context.Context, node string) ([]member, error) {
	var c struct{ Members []member }
	err := s.rest(ctx, node, http.MethodGet, "/cluster", nil, &c)
	return c.Members, err
}

// anyMembers asks them all, one after the other, until one answers.
func (s *system) anyMembers(ctx context.Context) ([]member, error) {
	var errs []error
	for _, n := range s.servers() {
		members, err := s.patroniMembers(ctx, n)
		if err == nil {
			return members, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// leader is the node that holds Patroni's lock, as the Patronis say.
func leader(members []member) string {
	i := slices.IndexFunc(members, func(m member) bool {
		return strings.HasSuffix(m.Role, "leader") || m.Role == "master" || m.Role == "primary"
	})
	if i < 0 {
		return ""
	}
	return members[i].Name
}

// askPatroni is nil if all nodes run under the same leader at this moment, and
// the standbys have what it had.
func (s *system) askPatroni(ctx context.Context) error {
	names := s.servers()
	for _, n := range names {
		members, err := s.patroniMembers(ctx, n)
		if err != nil {
			return deploy.NotReady(n, err)
		}
		for _, m := range members {
			if !m.runs() {
				return deploy.NotReady(m.Name, fmt.Errorf("its state by Patroni is %s", m.State))
			}
		}
		if len(members) != len(names) || leader(members) == "" {
			return deploy.NotReady(n, fmt.Errorf("its Patroni knows the leader %q and %d of %d nodes", leader(members), len(members), len(names)))
		}
		if s.Spec.Levels[levelSyncMode] != "off" && !slices.ContainsFunc(members, member.synchronous) {
			return deploy.NotReady(n, errors.New("its Patroni has not chosen a synchronous standby yet"))
		}
		if n == names[len(names)-1] {
			return s.askStreams(ctx, leader(members), names)
		}
	}
	return errors.New("there is no node")
}

// listPatroni lists the members that run.
func (s *system) listPatroni(ctx context.Context) ([]string, error) {
	members, err := s.anyMembers(ctx)
	var names []string
	for _, m := range members {
		if m.runs() {
			names = append(names, m.Name)
		}
	}
	return names, err
}

// transferPatroni is a switchover; if there is no leader, a failover.
func (s *system) transferPatroni(ctx context.Context, to string) error {
	members, err := s.anyMembers(ctx)
	if err != nil {
		return err
	}
	from := leader(members)
	request, path := map[string]string{"candidate": to, "leader": from}, "/switchover"
	switch from {
	case to:
		return nil
	case "":
		delete(request, "leader")
		path = "/failover"
	}
	if err := s.rest(ctx, to, http.MethodPost, path, request, nil); err != nil {
		return err
	}
	// Patroni answers when the new leader has the lock; PostgreSQL may still be
	// on its way.
	return s.Await(ctx, func(ctx context.Context) error {
		primaries, err := s.primaries(ctx)
		if err == nil && !slices.Contains(primaries, to) {
			err = fmt.Errorf("the primaries are %v", primaries)
		}
		return err
	})
}

// joinPatroni waits until a node that was added runs.
func (s *system) joinPatroni(ctx context.Context, node string) error {
	return s.Await(ctx, func(ctx context.Context) error {
		names, err := s.listPatroni(ctx)
		if err == nil && !slices.Contains(names, node) {
			err = fmt.Errorf("the members by Patroni are %v", names)
		}
		return err
	})
}

// switchTimeout bounds a switchover, which takes a shutdown and a promotion.
const switchTimeout = 30 * time.Second

// rest asks the Patroni of a node.
func (s *system) rest(ctx context.Context, node, method, path string, in, out any) error {
	timeout := deploy.AskTimeout
	if method == http.MethodPost {
		timeout = switchTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	addr, err := s.Addr(node, restPort)
	if err != nil {
		return err
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask Patroni: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("ask Patroni: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask Patroni: %s: %s", resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read Patroni's answer: %w", err)
	}
	return nil
}
