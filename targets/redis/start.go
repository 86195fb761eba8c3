package redis

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/deploy"
)

const (
	serverPort   = 6379
	sentinelPort = 26379

	// A node is small: many share a machine.
	memory         = 256 << 20
	sentinelMemory = 128 << 20
	cpus           = 1

	// sentinels watch over the servers, and so many of them must agree that
	// the primary is down.
	sentinels, quorum = 3, 2
	// watched is the name by which sentinels know the servers.
	watched = "capstan"
	// storeNode has what redlock's locks protect.
	storeNode = "store"
)

//go:embed image
var imageFiles embed.FS

//go:embed entry.sh
var entry []byte

func image() docker.Image {
	files, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("redis: embedded image files: " + err.Error())
	}
	return docker.Image{Ref: officialImage(), Name: "capstan-redis", Files: files}
}

// Images implements targets.Images.
func (Target) Images() []docker.Image { return []docker.Image{image()} }

// Start implements targets.Target.
func (t Target) Start(ctx context.Context, spec targets.Spec) (targets.System, error) {
	if _, err := targets.FindTopology(t, spec); err != nil {
		return nil, err
	}
	s := &system{}
	roles, serving := layout(spec)
	d, err := deploy.Start(ctx, spec, deploy.Config{
		Target: t.Name(), Images: map[string]docker.Image{"redis": image()},
		Nodes: func(images map[string]docker.ImageFacts) []docker.NodeSpec { return nodes(spec, images["redis"]) },
		Roles: roles, Serving: serving,
		Memory: memory, CPUs: cpus, Now: s.now,
	})
	if d == nil {
		return nil, err
	}
	s.Deployment = d
	if err == nil {
		if spec.Topology != redlock {
			s.Cluster().Primaries = s.primaries
		}
		s.Cluster().Members = s.members()
	}
	return s, err
}

type system struct {
	*deploy.Deployment
	formed bool // the nodes of a Redis Cluster have met
}

var (
	_ targets.System    = (*system)(nil)
	_ targets.Isolation = (*system)(nil)
	_ targets.Endpoints = (*system)(nil)
)

// layout says which nodes are not servers like the others, and which ones
// clients connect to; nil if all are alike.
func layout(spec targets.Spec) (roles map[string]string, serving []string) {
	for _, n := range docker.Bare(spec.Nodes) {
		serving = append(serving, n.Name)
	}
	switch spec.Topology {
	case sentinel:
		roles = map[string]string{}
		for _, n := range serving {
			roles[n] = "server"
		}
		for i := range sentinels {
			roles[sentinelName(i)] = "sentinel"
		}
		return roles, serving
	case sharded:
		// The nodes that have the slot of all keys, see tag.
		return nil, []string{serving[0], serving[shards]}
	case redlock:
		roles = map[string]string{storeNode: "store"}
		for _, n := range serving {
			roles[n] = "lock"
		}
		return roles, []string{storeNode}
	}
	return nil, nil
}

func sentinelName(i int) string { return "s" + strconv.Itoa(i+1) }

// isSentinel says which nodes are not servers of data.
func (s *system) isSentinel(node string) bool { return s.Cluster().Roles[node] == "sentinel" }

// servers are the nodes that have data, in order.
func (s *system) servers() (names []string) {
	for _, n := range s.Members() {
		if !s.isSentinel(n) {
			names = append(names, n)
		}
	}
	return names
}

func nodes(spec targets.Spec, image docker.ImageFacts) []docker.NodeSpec {
	nodes := docker.Bare(spec.Nodes)
	primary := nodes[0].Name
	for i := range nodes {
		conf := serverConf(spec, nodes[i].Name)
		if spec.Topology == sentinel && i > 0 {
			conf = append(conf, fmt.Sprintf("replicaof %s %d", primary, serverPort))
		}
		addServer(spec, image, &nodes[i], "server", serverPort, conf)
	}
	switch spec.Topology {
	case sentinel:
		for i := range sentinels {
			n := docker.NodeSpec{Name: sentinelName(i)}
			addServer(spec, image, &n, "sentinel", sentinelPort, sentinelConf(n.Name, primary))
			n.Server.Memory = sentinelMemory
			n.Server.Env = append(n.Server.Env, "PRIMARY="+primary, "REPLICAS="+strconv.Itoa(spec.Nodes-1))
			nodes = append(nodes, n)
		}
	case redlock:
		n := docker.NodeSpec{Name: storeNode}
		spec.Levels = map[string]string{levelSync: spec.Levels[levelSync]}
		addServer(spec, image, &n, "server", serverPort, serverConf(spec, n.Name))
		nodes = append(nodes, n)
	}
	return nodes
}

func addServer(spec targets.Spec, image docker.ImageFacts, n *docker.NodeSpec, role string, port int, conf []string) {
	volumes := image.Volumes
	if len(volumes) == 0 {
		volumes = []string{"/data"}
	}
	durable := ""
	if spec.Disk != "" && spec.Disk != string(docker.DiskPlain) {
		durable = "1"
	}
	n.Ports = []int{port}
	n.Server = &docker.Server{
		Name: "redis", Image: image.Ref, User: "redis", Volumes: volumes,
		Env:        []string{"ROLE=" + role, "DURABLE=" + durable, "CONF=" + strings.Join(conf, "\n")},
		Entrypoint: []string{"/capstan-entry.sh"},
		Files:      []docker.File{{Path: "/capstan-entry.sh", Mode: 0o755, Content: entry}},
	}
}

// everywhere is on IPv6 as well, which names may stand for.
const everywhere = "bind * -::*"

func serverConf(spec targets.Spec, name string) []string {
	level := func(name, otherwise string) string {
		if v := spec.Levels[name]; v != "" {
			return v
		}
		return otherwise
	}
	conf := []string{
		fmt.Sprintf("port %d", serverPort), everywhere, "protected-mode no", "dir /data",
		`save ""`, "appendonly " + level(levelAOF, "yes"), "appendfsync " + level(levelSync, "everysec"),
		"min-replicas-to-write " + level(levelMin, "0"), "min-replicas-max-lag 2",
		// A cut is noticed, and a healed link used again, within seconds.
		"repl-timeout 10", "repl-ping-replica-period 1", "repl-diskless-sync-delay 0",
	}
	switch spec.Topology {
	case sentinel:
		conf = append(conf, "replica-announce-ip "+name)
	case sharded:
		conf = append(conf, "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 2000")
	}
	return conf
}

// sentinelConf has names and not addresses: those are known only when the
// network is made. A primary counts as down after 2 s.
func sentinelConf(name, primary string) []string {
	return []string{
		fmt.Sprintf("port %d", sentinelPort), everywhere, "protected-mode no", "dir /data",
		"sentinel resolve-hostnames yes", "sentinel announce-hostnames yes", "sentinel announce-ip " + name,
		fmt.Sprintf("sentinel monitor %s %s %d %d", watched, primary, serverPort, quorum),
		"sentinel down-after-milliseconds " + watched + " 2000",
		"sentinel failover-timeout " + watched + " 10000",
	}
}

// Claim implements targets.System. A single server executes commands one after
// another, and with appendfsync always none is answered before it is on disk
// (documentation, persistence). Every second "you may lose 1 second of data".
// Of replicas the documentation promises nothing: Sentinel "does not guarantee
// that acknowledged writes are retained during failures", Redis Cluster "does
// not guarantee strong consistency", and WAIT "does not make Redis a strongly
// consistent store".
func (s *system) Claim() string {
	if s.Spec.Topology == single && s.Spec.Levels[levelSync] == "always" {
		return "linearizable"
	}
	return ""
}

// Isolation implements targets.Isolation: "all the commands in a transaction are
// serialized and executed sequentially" (documentation, transactions), where no
// failure takes anything back.
func (s *system) Isolation() string {
	if s.Claim() == "" {
		return ""
	}
	return "strict-serializable"
}

// Endpoints implements targets.Endpoints.
func (s *system) Endpoints(node string) []string {
	addr, err := s.Addr(node, s.port(node))
	if err != nil {
		return nil
	}
	return []string{"redis://" + addr}
}

func (s *system) port(node string) int {
	if s.isSentinel(node) {
		return sentinelPort
	}
	return serverPort
}
