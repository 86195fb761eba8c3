package docker

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-connections/nat"
)

//go:embed holder
var holderFiles embed.FS

// portTrials is how often a holder is made anew because another process took
// the port that was chosen for it.
const portTrials = 5

// HolderImage is what carries each node's network, see Spec.
func HolderImage() Image {
	files, err := fs.Sub(holderFiles, "holder")
	if err != nil {
		panic("docker: embedded holder files: " + err.Error())
	}
	return Image{Name: "capstan-holder", Files: files}
}

// startHolders makes all holders and says hello to their agents.
func (c *Cluster) startHolders(ctx context.Context, image string, v6 bool) error {
	if err := c.choosePorts(); err != nil {
		return err
	}
	err := c.each(func(n *Node) error { return c.startHolder(ctx, n, image, v6) })
	if err != nil {
		return err
	}
	return c.each(func(n *Node) error {
		f, err := c.Net.join(ctx, &member{name: n.Name, ip: n.IP, ip6: n.IP6, agent: n.agent})
		if err != nil {
			return err
		}
		if v6 && !f.V6 {
			return &noIPv6Error{fmt.Errorf("%s: ip6tables does not work in the holder: %s", n.Name, f.Why)}
		}
		return c.lease(ctx, n.agent)
	})
}

func (c *Cluster) startHolder(ctx context.Context, n *Node, image string, v6 bool) error {
	for trial := 1; ; trial++ {
		err := c.tryHolder(ctx, n, image, v6)
		if err == nil || trial == portTrials || !portTaken(err) {
			return err
		}
		rm := container.RemoveOptions{Force: true}
		if err := c.e.api.ContainerRemove(ctx, n.HolderID, rm); err != nil {
			return fmt.Errorf("%s: remove holder: %w", n.Name, err)
		}
		n.HolderID = ""
		ports, err := freePorts(len(n.spec.Ports))
		if err != nil {
			return err
		}
		n.publish(ports)
	}
}

// portTaken recognizes the engine's errors for a port that somebody else has.
func portTaken(err error) bool {
	s := err.Error()
	return strings.Contains(s, "port is already allocated") || strings.Contains(s, "address already in use")
}

func (c *Cluster) tryHolder(ctx context.Context, n *Node, image string, v6 bool) error {
	labels := c.labels(n)
	labels[labelRole] = RoleHolder
	exposed, bound := nat.PortSet{}, nat.PortMap{}
	for port, published := range n.ports {
		p := nat.Port(strconv.Itoa(port) + "/tcp")
		exposed[p] = struct{}{}
		// On the loopback only. Outside it would be reachable for strangers,
		// and for the nodes themselves, through the gateway and past a cut.
		bound[p] = []nat.PortBinding{{HostIP: "127.0.0.1", HostPort: strconv.Itoa(published)}}
	}
	ipam := &network.EndpointIPAMConfig{IPv4Address: n.IP.String()}
	if v6 {
		ipam.IPv6Address = n.IP6.String()
	}
	p, err := c.e.program(ctx)
	if err != nil {
		return err
	}
	made, err := c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: image, Hostname: n.Name, Labels: labels, ExposedPorts: exposed,
			Entrypoint: append(slices.Clone(p.argv), "agent", "links"),
			// The agent's stdin ends with this process: StdinOnce.
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		},
		&container.HostConfig{
			NetworkMode: container.NetworkMode(c.network), PortBindings: bound,
			CapAdd: []string{"NET_ADMIN", "NET_RAW"}, LogConfig: logging(),
		},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			c.network: {Aliases: []string{n.Name}, IPAMConfig: ipam},
		}}, nil, c.name(n.Name, "holder"))
	if err != nil {
		return fmt.Errorf("%s: create holder: %w", n.Name, err)
	}
	n.HolderID = made.ID
	return c.startAgent(ctx, n, p)
}

// startAgent puts the agent's program into the node's holder, which was
// created, starts it and holds the other end of its stdin.
func (c *Cluster) startAgent(ctx context.Context, n *Node, p program) error {
	if err := c.copyFiles(ctx, n.HolderID, p.files); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	conn, err := c.e.api.ContainerAttach(ctx, n.HolderID, container.AttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return fmt.Errorf("%s: attach to agent: %w", n.Name, err)
	}
	if err := c.e.api.ContainerStart(ctx, n.HolderID, container.StartOptions{}); err != nil {
		conn.Close()
		return fmt.Errorf("%s: start agent: %w", n.Name, err)
	}
	n.agent = newRemote(n.Name, conn, c.log)
	return nil
}

// choosePorts gives every node its ports on the loopback. They are all open at
// the same time while they are chosen, so that no two are the same.
func (c *Cluster) choosePorts() error {
	all := 0
	for _, n := range c.Nodes {
		all += len(n.spec.Ports)
	}
	ports, err := freePorts(all)
	if err != nil {
		return err
	}
	for _, n := range c.Nodes {
		n.publish(ports[:len(n.spec.Ports)])
		ports = ports[len(n.spec.Ports):]
	}
	return nil
}

func (n *Node) publish(ports []int) {
	n.ports = map[int]int{}
	for i, port := range n.spec.Ports {
		n.ports[port] = ports[i]
	}
}

func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choose a port on the loopback: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
