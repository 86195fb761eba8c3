package docker

import (
	"context"
	"errors"
	"fmt"

	"github.com/capstan-dev/capstan/cluster"
)

// revive brings agents back that are gone, with what went with them. Who asks
// for a state of the links next is told, by cluster.ErrLapsed, that the state
// before did not last. The caller does not hold w.mu.
func (w *Network) revive(ctx context.Context) error {
	return w.each(func(m *member) error {
		why := m.agent.whyGone()
		if why == nil || w.bring == nil {
			return why
		}
		w.log.Warn("agent is gone, start another", "node", m.name, "cause", why)
		fresh, err := w.bring(ctx, m.name)
		if err != nil {
			return errors.Join(why, err)
		}
		fresh.lapse(why.Error() + "; started again, and the node's network and server with it if they went, too")
		return nil
	})
}

// bring brings a node's agent back. Where capstan made the node, its address
// went with the holder: the holder is started again, and the server, whose
// network is no more.
func (c *Cluster) bring(ctx context.Context, node string) (*remote, error) {
	n, err := c.node(node)
	if err != nil {
		return nil, err
	}
	if n.foreign {
		err = c.reattach(ctx, n)
	} else {
		err = c.restartNode(ctx, n)
	}
	return n.agent, err
}

func (c *Cluster) restartNode(ctx context.Context, n *Node) error {
	p, err := c.e.program(ctx)
	if err != nil {
		return err
	}
	n.agent.close()
	if err := c.startAgent(ctx, n, p); err != nil {
		return err
	}
	if _, err := c.Net.join(ctx, &member{name: n.Name, ip: n.IP, ip6: n.IP6, agent: n.agent}); err != nil {
		return err
	}
	if err := c.lease(ctx, n.agent); err != nil || n.ServerID == "" {
		return err
	}
	s, err := c.Procs.State(ctx, n.Name)
	if err != nil || s == cluster.Dead {
		return err
	}
	if err := errors.Join(c.Procs.Kill(ctx, n.Name), c.Procs.Start(ctx, n.Name)); err != nil {
		return fmt.Errorf("%s: start the server again: %w", n.Name, err)
	}
	return nil
}
