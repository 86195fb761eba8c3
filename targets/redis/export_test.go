package redis

import (
	"context"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// Classify is the mapping of errors.
func Classify(err error) error { return classify(err) }

// Slot is the slot of Redis Cluster that the node hashes all keys into.
func (c *Conn) Slot(ctx context.Context) (any, error) {
	return c.s.do(ctx, command{"CLUSTER", "KEYSLOT", key("register", 1)})
}

// LocalImage is the image that is built where there is no registry.
func LocalImage() docker.Image {
	img := image()
	img.Ref = ""
	return img
}
