package docker

import (
	"context"
	"errors"
)

// KillHostAgent ends the host agent without a chance to heal.
func (c *Cluster) KillHostAgent(ctx context.Context) error {
	a := c.host.living()
	if a == nil {
		return errors.New("there is no host agent")
	}
	if err := c.e.api.ContainerKill(ctx, c.name("host", c.host.number()), "KILL"); err != nil {
		return err
	}
	<-a.done
	return nil
}
