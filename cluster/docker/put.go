package docker

import (
	"context"
	"slices"
)

// Put writes a file anew in every server's container, whether it runs or not,
// and in those that will replace them.
func (c *Cluster) Put(ctx context.Context, f File) error {
	return c.each(func(n *Node) error {
		s := n.spec.Server
		if s == nil {
			return nil
		}
		n.mu.Lock()
		s.Files = append(slices.DeleteFunc(slices.Clone(s.Files), func(old File) bool { return old.Path == f.Path }), f)
		n.mu.Unlock()
		return c.copyFiles(ctx, n.ServerID, []File{f})
	})
}
