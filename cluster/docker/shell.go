package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/pkg/stdcopy"
)

// Terminal is where a shell's input comes from and its output goes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	// TTY gives the shell a terminal of its own; In must be in raw mode then.
	TTY bool
	// Sizes delivers the terminal's [rows, columns], first the present ones;
	// nil if there are none.
	Sizes <-chan [2]uint
}

// Shell runs a command in a node's server container, or in its holder, until
// it ends, and returns its exit code. An empty command is the best shell that
// the image has. The node is found by the engine's labels: it may belong to
// any process, run being the name of its cluster.
func (e *Engine) Shell(ctx context.Context, run, node, role string, command []string, t Terminal) (int, error) {
	id, err := e.findNode(ctx, run, node, role)
	if err != nil {
		return 0, err
	}
	if len(command) == 0 {
		command = []string{"/bin/sh", "-c", "command -v bash >/dev/null && exec bash; exec sh"}
	}
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: command, Tty: t.TTY, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return 0, fmt.Errorf("%s: run %s: %w", node, command[0], err)
	}
	conn, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{Tty: t.TTY})
	if err != nil {
		return 0, fmt.Errorf("%s: attach to %s: %w", node, command[0], err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, conn.Close)()
	go e.follow(ctx, made.ID, t.Sizes)
	go func() {
		_, _ = io.Copy(conn.Conn, t.In) // its end, for whatever reason, is the shell's end of input
		_ = conn.CloseWrite()
	}()
	if t.TTY {
		_, err = io.Copy(t.Out, conn.Reader)
	} else {
		_, err = stdcopy.StdCopy(t.Out, t.Err, conn.Reader)
	}
	if err := errors.Join(ctx.Err(), err); err != nil {
		return 0, fmt.Errorf("%s: read the output of %s: %w", node, command[0], err)
	}
	done, err := e.api.ContainerExecInspect(ctx, made.ID)
	if err != nil {
		return 0, fmt.Errorf("%s: ask how %s ended: %w", node, command[0], err)
	}
	return done.ExitCode, nil
}

// follow tells the shell's terminal how large it is.
func (e *Engine) follow(ctx context.Context, exec string, sizes <-chan [2]uint) {
	for s := range sizes {
		// A wrong size is no reason to end a shell.
		_ = e.api.ContainerExecResize(ctx, exec, container.ResizeOptions{Height: s[0], Width: s[1]})
	}
}

// findNode finds a node's running container by its labels. The server of a
// node that capstan did not start has none; its agent's label names it.
func (e *Engine) findNode(ctx context.Context, run, node, role string) (string, error) {
	f := filters.NewArgs(filters.Arg("label", labelNode+"="+node))
	if run != "" {
		f.Add("label", labelRun+"="+run)
	}
	all, err := e.api.ContainerList(ctx, container.ListOptions{Filters: f})
	if err != nil {
		return "", fmt.Errorf("look for node %s: %w", node, err)
	}
	var ids, runs []string
	for _, c := range all {
		target := c.Labels[labelTarget]
		switch {
		case c.Labels[labelRole] == role:
			ids = append(ids, c.ID)
		case target != "" && role == RoleServer:
			ids = append(ids, target)
		default:
			continue
		}
		runs = append(runs, c.Labels[labelRun])
	}
	switch {
	case len(ids) == 0:
		return "", fmt.Errorf("no %s of node %s is running%s", role, node, of(run))
	case len(ids) > 1:
		return "", fmt.Errorf("several clusters have a node %s: %s; say which", node, strings.Join(runs, ", "))
	}
	s, err := e.state(ctx, ids[0])
	if err != nil {
		return "", fmt.Errorf("%s: %w", node, err)
	}
	if s.Paused {
		return "", fmt.Errorf("node %s is paused: no process can be started in it; heal the fault first", node)
	}
	return ids[0], nil
}

func of(run string) string {
	if run == "" {
		return ""
	}
	return " in cluster " + run
}
