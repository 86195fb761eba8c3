package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/capstan-dev/capstan/cluster"
	onhost "github.com/capstan-dev/capstan/cluster/agent/host"
)

// askings is how often a node is asked for its time; the quickest answer says
// most.
const askings = 3

// Clocks shifts the wall clocks of the servers' processes, and nothing else:
// the functions by which they read it are changed in their own memory, see
// package agent/host. Monotonic time stays true, and so do the stamps that the
// kernel puts on files. Where the image is made for libfaketime that is told
// instead.
type Clocks struct {
	c   *Cluster
	now func(ctx context.Context, node string) (time.Time, error)

	mu   sync.Mutex
	want map[string]clock
}

func newClocks(c *Cluster, now func(context.Context, string) (time.Time, error)) *Clocks {
	return &Clocks{c: c, now: now, want: map[string]clock{}}
}

// can is nil, or says why clocks cannot be shifted here.
func (k *Clocks) can() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	facts, err := k.c.e.Facts(ctx)
	if err != nil {
		return err
	}
	for _, n := range k.c.Nodes {
		if facts.Arch != "x86_64" && !n.fakes() {
			return fmt.Errorf("%s: clocks are shifted on x86_64 only, or by libfaketime in an image that is made for it; this is %q", n.Name, facts.Arch)
		}
	}
	return nil
}

func (n *Node) fakes() bool { return n.spec.Server != nil && n.spec.Server.Faketime != "" }

// Skew implements cluster.Clocks. Processes that are started later get the
// clock within a tenth of a second. A dead server gets it when it starts. An
// error that wraps cluster.ErrLapsed speaks of the skew before.
func (k *Clocks) Skew(ctx context.Context, node string, s cluster.Skew) error {
	n, err := k.c.node(node)
	if err != nil {
		return err
	}
	if n.ServerID == "" {
		return fmt.Errorf("%s: shift clock: %w", node, errBare)
	}
	if n.fakes() {
		return k.fake(ctx, n, s)
	}
	if s == (cluster.Skew{}) && !k.c.host.made() {
		return nil
	}
	c := clock{base: time.Now(), skew: s}
	if err := k.tell(ctx, n, c); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.want[node] = c; s == (cluster.Skew{}) {
		delete(k.want, node)
	}
	if err := k.c.host.takeLapse(); err != nil {
		return fmt.Errorf("%s: shift clock: %w", node, err)
	}
	return nil
}

// clock is a skew and when it began. Engine and harness are on one machine, so
// they agree on the time.
type clock struct {
	base time.Time
	skew cluster.Skew
}

func (k *Clocks) tell(ctx context.Context, n *Node, c clock) error {
	args := onhost.Skew{Container: n.ServerID, Base: c.base.UnixNano(), Offset: int64(c.skew.Offset), Drift: c.skew.Drift}
	if err := k.c.host.call(ctx, onhost.VerbSkew, args, nil); err != nil {
		return fmt.Errorf("%s: shift clock: %w", n.Name, err)
	}
	return nil
}

// follow gives a server's new container the clock of the one before.
func (k *Clocks) follow(ctx context.Context, n *Node) error {
	k.mu.Lock()
	c, ok := k.want[n.Name]
	k.mu.Unlock()
	if !ok {
		return nil
	}
	return k.tell(ctx, n, c)
}

// Offset implements cluster.Clocks. The node itself is asked where the system
// can be. Else the instructions are run by which its server process reads the
// clock, see Witness.
func (k *Clocks) Offset(ctx context.Context, node string) (time.Duration, error) {
	n, err := k.c.node(node)
	if err != nil {
		return 0, err
	}
	if n.ServerID == "" {
		return 0, fmt.Errorf("%s: ask for the time: %w", node, errBare)
	}
	ask := k.now
	if ask == nil && n.fakes() {
		ask = k.date
	}
	if ask == nil {
		return k.read(ctx, n)
	}
	var offset time.Duration
	quickest := time.Duration(-1)
	var errs []error
	for range askings {
		start := time.Now()
		now, err := ask(ctx, node)
		took := time.Since(start)
		if err != nil {
			errs = append(errs, err)
		} else if quickest < 0 || took < quickest {
			offset, quickest = now.Sub(start.Add(took/2)), took
		}
	}
	if quickest < 0 {
		return 0, fmt.Errorf("%s: ask for the time: %w", node, errors.Join(errs...))
	}
	return offset, nil
}

// Witness says who tells the time of a node, for the proof.
func (k *Clocks) Witness(node string) string {
	n, err := k.c.node(node)
	switch {
	case k.now != nil:
		return "the system itself"
	case err == nil && n.fakes():
		return "date(1) in the server's container"
	}
	return "the server process' own clock functions, run by the agent"
}

func (k *Clocks) read(ctx context.Context, n *Node) (time.Duration, error) {
	var clock onhost.Clock
	if err := k.c.host.call(ctx, onhost.VerbClock, onhost.Container{Container: n.ServerID}, &clock); err != nil {
		return 0, fmt.Errorf("%s: read clock: %w", n.Name, err)
	}
	return time.Duration(clock.Offset), nil
}

// fake writes libfaketime's file. It goes on from the true time by itself, but
// knows of no drift from a moment on.
func (k *Clocks) fake(ctx context.Context, n *Node, s cluster.Skew) error {
	if s.Drift != 0 {
		return fmt.Errorf("%s: shift clock: libfaketime cannot drift from a given moment on", n.Name)
	}
	content := fmt.Appendf(nil, "%+.9f\n", s.Offset.Seconds())
	if err := k.c.copyFiles(ctx, n.ServerID, []File{{Path: n.spec.Server.Faketime, Mode: 0o644, Content: content}}); err != nil {
		return fmt.Errorf("%s: shift clock: %w", n.Name, err)
	}
	return nil
}

// date asks date(1) in the server's container, which reads libfaketime's file
// as the server does.
func (k *Clocks) date(ctx context.Context, node string) (time.Time, error) {
	id, err := k.c.Procs.server(node)
	if err != nil {
		return time.Time{}, err
	}
	text, err := k.c.e.output(ctx, id, "date", "+%s.%N")
	if err != nil {
		return time.Time{}, err
	}
	sec, nsec, _ := strings.Cut(strings.TrimSpace(text), ".")
	s, err := strconv.ParseInt(sec, 10, 64)
	ns, nerr := strconv.ParseInt(nsec, 10, 64)
	if err := errors.Join(err, nerr); err != nil {
		return time.Time{}, fmt.Errorf("read date %q: %w", text, err)
	}
	return time.Unix(s, ns), nil
}

// output runs a command in a container, with the environment that it was made
// with, and returns what it writes.
func (e *Engine) output(ctx context.Context, id string, cmd ...string) (string, error) {
	made, err := e.api.ContainerExecCreate(ctx, id, container.ExecOptions{Cmd: cmd, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return "", fmt.Errorf("run %s: %w", cmd[0], err)
	}
	conn, err := e.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return "", fmt.Errorf("run %s: %w", cmd[0], err)
	}
	defer conn.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, conn.Reader); err != nil {
		return "", fmt.Errorf("run %s: %w", cmd[0], err)
	}
	done, err := e.api.ContainerExecInspect(ctx, made.ID)
	if err == nil && done.ExitCode != 0 {
		err = fmt.Errorf("exit code %d: %s", done.ExitCode, strings.TrimSpace(out.String()))
	}
	if err != nil {
		return "", fmt.Errorf("run %s: %w", cmd[0], err)
	}
	return out.String(), nil
}
