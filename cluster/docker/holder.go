package docker

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
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

func holderImage() Image {
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
		text, err := n.agent.call(ctx, "hello", n.Name, strconv.Itoa(int(leaseTime.Seconds())), strconv.Itoa(canaryPort))
		if err != nil {
			return &Error{
				Doing: "prepare the node's iptables", Err: err,
				Advice: "the engine must allow containers NET_ADMIN, and its kernel needs nf_tables or ip_tables; see `capstan doctor`",
			}
		}
		families, addrs, _ := strings.Cut(text, " ")
		if v6 && families != "families=46" {
			return &noIPv6Error{fmt.Errorf("%s: ip6tables does not work in the holder", n.Name)}
		}
		return c.Net.learn(n, strings.Fields(addrs))
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
	labels[labelRole] = "holder"
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
	made, err := c.e.api.ContainerCreate(ctx,
		&container.Config{
			Image: image, Hostname: n.Name, Labels: labels, ExposedPorts: exposed,
			// The agent's stdin ends with this process: StdinOnce.
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
		},
		&container.HostConfig{
			NetworkMode: container.NetworkMode(c.network), PortBindings: bound,
			CapAdd: []string{"NET_ADMIN"}, LogConfig: logging(),
		},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{
			c.network: {Aliases: []string{n.Name}, IPAMConfig: ipam},
		}}, nil, c.name(n.Name, "holder"))
	if err != nil {
		return fmt.Errorf("%s: create holder: %w", n.Name, err)
	}
	n.HolderID = made.ID
	conn, err := c.e.api.ContainerAttach(ctx, made.ID, container.AttachOptions{
		Stream: true, Stdin: true, Stdout: true, Stderr: true,
	})
	if err != nil {
		return fmt.Errorf("%s: attach to holder: %w", n.Name, err)
	}
	if err := c.e.api.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		conn.Close()
		return fmt.Errorf("%s: start holder: %w", n.Name, err)
	}
	n.agent = newAgent(n.Name, conn, c.log)
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

// addresses are all under which a node sends to its peers.
func (n *Node) addresses(reported []string) ([]netip.Addr, error) {
	addrs := []netip.Addr{n.IP, n.IP6}
	for _, s := range reported {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return nil, fmt.Errorf("%s: read the holder's addresses: %w", n.Name, err)
		}
		if !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if !slices.Contains(reported, n.IP.String()) {
		return nil, errors.New(n.Name + ": holder did not get the address " + n.IP.String())
	}
	return addrs, nil
}
