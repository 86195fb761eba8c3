package docker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// logging is the log driver that can be read back, whatever the engine's
// default is.
func logging() container.LogConfig { return container.LogConfig{Type: "json-file"} }

// Logs writes what each server and holder wrote to dir/NODE/*.log.
func (c *Cluster) Logs(ctx context.Context, dir string) error {
	return c.each(func(n *Node) error {
		folder := filepath.Join(dir, n.Name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("%s: make folder of logs: %w", n.Name, err)
		}
		save := func(id, name string, earlier []byte) error {
			if id == "" {
				return nil
			}
			if err := c.saveLog(ctx, id, earlier, filepath.Join(folder, name+".log")); err != nil {
				return fmt.Errorf("%s: save log of %s: %w", n.Name, name, err)
			}
			return nil
		}
		return join(
			func() error { return save(n.HolderID, "holder", nil) },
			func() error {
				if n.spec.Server == nil {
					return nil
				}
				return save(n.ServerID, n.spec.Server.Name, n.earlier)
			},
		)
	})
}

func (c *Cluster) saveLog(ctx context.Context, id string, earlier []byte, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(earlier); err != nil {
		f.Close()
		return err
	}
	if err := c.copyLog(ctx, id, "all", true, f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// copyLog writes the end of a container's log, both streams as they came.
func (c *Cluster) copyLog(ctx context.Context, id, lines string, stamps bool, w io.Writer) error {
	body, err := c.e.api.ContainerLogs(ctx, id, container.LogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: stamps, Tail: lines,
	})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = stdcopy.StdCopy(w, w, body)
	return err
}

// Tail is the last lines of a server's log, in the form in which errors quote
// them; empty if it wrote nothing.
func (c *Cluster) Tail(ctx context.Context, node string, lines int) (string, error) {
	n, err := c.node(node)
	if err != nil {
		return "", err
	}
	var buf bytes.Buffer
	if err := c.copyLog(ctx, n.ServerID, strconv.Itoa(lines), false, &buf); err != nil {
		return "", fmt.Errorf("%s: read log: %w", node, err)
	}
	text := strings.TrimSpace(buf.String())
	if text == "" {
		return "", nil
	}
	return "; the last lines of its log:\n\t" + strings.ReplaceAll(text, "\n", "\n\t"), nil
}
