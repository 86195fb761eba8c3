package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
)

// AttachSpec says which running containers, started by somebody else, become
// the nodes of a cluster.
type AttachSpec struct {
	// RunID is the name of the cluster.
	RunID string
	// Labels that a container must have, all of them, as KEY or KEY=VALUE.
	Labels []string
}

// Labels of Docker Compose.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeNumber  = "com.docker.compose.container-number"
)

// ComposeLabel is the label of all containers of a Compose project.
func ComposeLabel(project string) string { return composeProject + "=" + project }

// Attach makes a cluster of containers that run already, by putting an agent
// into the network namespace of each. Close takes the agents away again and
// leaves the containers as they are. The half-built cluster comes with the
// error, to be closed; it is nil only if nothing was made.
func (e *Engine) Attach(ctx context.Context, spec AttachSpec) (*Cluster, error) {
	if _, err := e.Sweep(ctx); err != nil {
		e.log.Warn("sweep is incomplete", "err", err)
	}
	targets, err := e.targets(ctx, spec.Labels)
	if err != nil {
		return nil, err
	}
	image, err := e.EnsureImage(ctx, HolderImage())
	if err != nil {
		return nil, err
	}
	shared, err := e.sharedNetwork(ctx, targets)
	if err != nil {
		return nil, err
	}
	c := e.newCluster(Spec{RunID: spec.RunID})
	c.sidecar = image.Ref
	c.Net.gateways = shared.gateways
	for _, t := range targets {
		end := t.NetworkSettings.Networks[shared.name]
		n := &Node{Name: nodeName(t, targets), ServerID: t.ID, foreign: true, shared: shared.name}
		n.IP, _ = netip.ParseAddr(end.IPAddress)
		n.IP6, _ = netip.ParseAddr(end.GlobalIPv6Address)
		c.Nodes = append(c.Nodes, n)
	}
	slices.SortFunc(c.Nodes, func(a, b *Node) int { return naturally(a.Name, b.Name) })
	if err := c.each(func(n *Node) error { return c.startSidecar(ctx, n) }); err != nil {
		return c, err
	}
	return c, c.Net.settle(ctx, !slices.ContainsFunc(c.Nodes, func(n *Node) bool { return !n.IP6.IsValid() }))
}

// targets are the containers that an agent can be put beside.
func (e *Engine) targets(ctx context.Context, labels []string) ([]container.InspectResponse, error) {
	f := filters.NewArgs()
	for _, l := range labels {
		f.Add("label", l)
	}
	all, err := e.api.ContainerList(ctx, container.ListOptions{Filters: f})
	if err != nil {
		return nil, fmt.Errorf("look for containers with %s: %w", strings.Join(labels, ", "), err)
	}
	var found []container.InspectResponse
	for _, s := range all {
		if _, ours := s.Labels[labelRun]; ours {
			continue
		}
		c, err := e.api.ContainerInspect(ctx, s.ID)
		if err != nil {
			return nil, fmt.Errorf("inspect container %s: %w", s.Names[0], err)
		}
		if mode := c.HostConfig.NetworkMode; mode.IsHost() || mode.IsNone() || mode.IsContainer() {
			return nil, fmt.Errorf("container %s has no network of its own (network mode %s): its links cannot be cut", title(c), mode)
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no container with %s is running", strings.Join(labels, ", "))
	}
	if len(found) > maxNodes {
		return nil, fmt.Errorf("%d containers have %s, at most %d can be attached to", len(found), strings.Join(labels, ", "), maxNodes)
	}
	return found, nil
}

func title(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }

// nodeName is the container's service in its Compose project, with a number
// where the service has several, or else its name.
func nodeName(c container.InspectResponse, all []container.InspectResponse) string {
	service := c.Config.Labels[composeService]
	if service == "" {
		return title(c)
	}
	for _, o := range all {
		if o.ID == c.ID {
			continue
		}
		if o.Config.Labels[composeService] == service {
			return service + "-" + cmp.Or(c.Config.Labels[composeNumber], title(c))
		}
	}
	return service
}

// sharedNet is a network that all nodes are on.
type sharedNet struct {
	name     string
	gateways []netip.Addr
}

// sharedNetwork finds the network over which the containers reach each other:
// canaries go there. Rules are about all addresses of a node.
func (e *Engine) sharedNetwork(ctx context.Context, targets []container.InspectResponse) (s sharedNet, err error) {
	for _, name := range slices.Sorted(maps.Keys(targets[0].NetworkSettings.Networks)) {
		if !slices.ContainsFunc(targets, func(c container.InspectResponse) bool { return c.NetworkSettings.Networks[name] == nil }) {
			s.name = name
			break
		}
	}
	if s.name == "" {
		var words []string
		for _, c := range targets {
			words = append(words, title(c)+" on "+strings.Join(slices.Sorted(maps.Keys(c.NetworkSettings.Networks)), ", "))
		}
		return s, fmt.Errorf("the containers have no network in common: %s", strings.Join(words, "; "))
	}
	// Clients on the host come through any of the nodes' gateways.
	for _, c := range targets {
		for _, end := range c.NetworkSettings.Networks {
			for _, g := range []string{end.Gateway, end.IPv6Gateway} {
				if a, err := netip.ParseAddr(g); err == nil && !slices.Contains(s.gateways, a) {
					s.gateways = append(s.gateways, a)
				}
			}
		}
	}
	if _, err := e.api.NetworkInspect(ctx, s.name, network.InspectOptions{}); err != nil {
		return s, fmt.Errorf("inspect network %s: %w", s.name, err)
	}
	return s, nil
}

// startSidecar puts an agent beside a node that capstan did not start.
func (c *Cluster) startSidecar(ctx context.Context, n *Node) error {
	p, err := c.e.program(ctx)
	if err != nil {
		return err
	}
	labels := c.labels(n)
	labels[labelRole], labels[labelTarget] = RoleHolder, n.ServerID
	n.generation++
	made, err := c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: c.sidecar, Labels: labels, Entrypoint: append(slices.Clone(p.argv), "agent", "links"),
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		},
		&container.HostConfig{
			NetworkMode: container.NetworkMode("container:" + n.ServerID),
			CapAdd:      []string{"NET_ADMIN", "NET_RAW"}, LogConfig: logging(),
		}, nil, nil, c.name(n.Name, "agent", strconv.Itoa(n.generation)))
	if err != nil {
		return fmt.Errorf("%s: create agent: %w", n.Name, err)
	}
	n.HolderID = made.ID
	if err := c.startAgent(ctx, n, p); err != nil {
		return err
	}
	if _, err := c.Net.join(ctx, &member{name: n.Name, ip: n.IP, ip6: n.IP6, agent: n.agent}); err != nil {
		return err
	}
	return c.lease(ctx, n.agent)
}

// reattach follows a container that was started again into its new network
// namespace, and brings the state of its links there. Its old agent sits in
// one that is empty now.
func (c *Cluster) reattach(ctx context.Context, n *Node) error {
	now, err := c.e.api.ContainerInspect(ctx, n.ServerID)
	if err != nil {
		return fmt.Errorf("%s: inspect container: %w", n.Name, err)
	}
	end := now.NetworkSettings.Networks[n.shared]
	if end == nil {
		return fmt.Errorf("%s: container left network %s", n.Name, n.shared)
	}
	n.IP, _ = netip.ParseAddr(end.IPAddress)
	n.IP6, _ = netip.ParseAddr(end.GlobalIPv6Address)
	n.agent.close()
	gone := c.e.api.ContainerRemove(ctx, n.HolderID, container.RemoveOptions{Force: true})
	if err := c.startSidecar(ctx, n); err != nil {
		return errors.Join(err, gone)
	}
	return c.Net.restore(ctx)
}

// restore brings the state of the links to a node that is new again.
func (w *Network) restore(ctx context.Context) error {
	w.mu.Lock()
	want := w.want
	w.mu.Unlock()
	return w.Apply(ctx, want)
}
