package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/agent"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/stdcopy"
)

const (
	// leaseTime is how long an agent keeps rules in force without a word from
	// the harness. With the heal it stays below 10 s.
	leaseTime  = 8 * time.Second
	renewEvery = time.Second
	// canaryPort lies below the ports that the kernel hands out by itself.
	canaryPort = 21347
	// writeTimeout bounds a request's way into the pipe of a stuck agent.
	writeTimeout = 5 * time.Second
)

// remote is this end of the pipe to an agent in a container. Its methods may
// be called from any goroutine.
type remote struct {
	name string // of the node, or what else the agent is for
	conn types.HijackedResponse
	log  *slog.Logger

	mu      sync.Mutex
	next    int
	waiting map[int]chan agent.Response
	lapsed  error         // set when the agent healed by itself
	gone    error         // why the agent is no more
	done    chan struct{} // closed when it is
}

func newRemote(name string, conn types.HijackedResponse, log *slog.Logger) *remote {
	a := &remote{name: name, conn: conn, log: log, waiting: map[int]chan agent.Response{}, done: make(chan struct{})}
	go a.read()
	return a
}

// read hands answers to those who wait for them, until the stream ends.
func (a *remote) read() {
	out, w := io.Pipe()
	var last tail
	go func() {
		_, err := stdcopy.StdCopy(w, &last, a.conn.Reader)
		w.CloseWithError(errors.Join(io.EOF, err))
	}()
	dec := json.NewDecoder(out)
	for {
		var r agent.Response
		if err := dec.Decode(&r); err != nil {
			break
		}
		if r.Event != "" {
			a.log.Warn("agent healed by itself", "agent", a.name, "text", r.Event)
			a.lapse(r.Event)
			continue
		}
		a.answer(r)
	}
	a.fail(fmt.Errorf("%s: agent is gone%s", a.name, last.quote()))
	// What still comes has no reader; without this the copier would hang.
	_, _ = io.Copy(io.Discard, out)
}

func (a *remote) answer(r agent.Response) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch := a.waiting[r.ID]; ch != nil {
		delete(a.waiting, r.ID)
		ch <- r
	}
}

// lapse notes that a fault ended before its time.
func (a *remote) lapse(text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lapsed = fmt.Errorf("%s: %w: %s", a.name, cluster.ErrLapsed, text)
}

// takeLapse returns, once, that the agent healed by itself.
func (a *remote) takeLapse() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.lapsed
	a.lapsed = nil
	return err
}

func (a *remote) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone == nil {
		a.gone = err
		close(a.done)
	}
}

// call makes one request and decodes its answer into result, unless that is
// nil.
func (a *remote) call(ctx context.Context, verb string, args, result any) error {
	answer := make(chan agent.Response, 1)
	id, err := a.send(answer, verb, args)
	if err != nil {
		return err
	}
	select {
	case r := <-answer:
		return a.result(verb, r, result)
	case <-a.done:
		return a.gone
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.waiting, id)
		a.mu.Unlock()
		return fmt.Errorf("%s: wait for the agent's %s: %w", a.name, verb, ctx.Err())
	}
}

func (a *remote) send(answer chan agent.Response, verb string, args any) (int, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return 0, fmt.Errorf("%s: encode the request to %s: %w", a.name, verb, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone != nil {
		return 0, a.gone
	}
	a.next++
	line, err := json.Marshal(agent.Request{ID: a.next, Verb: verb, Args: raw})
	if err != nil {
		return 0, fmt.Errorf("%s: encode the request to %s: %w", a.name, verb, err)
	}
	if err := a.conn.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, fmt.Errorf("%s: bound the request to the agent: %w", a.name, err)
	}
	if _, err := a.conn.Conn.Write(append(line, '\n')); err != nil {
		return 0, fmt.Errorf("%s: ask the agent to %s: %w", a.name, verb, err)
	}
	a.waiting[a.next] = answer
	return a.next, nil
}

func (a *remote) result(verb string, r agent.Response, result any) error {
	if r.Err != "" {
		return fmt.Errorf("%s: %s: %s", a.name, verb, r.Err)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(r.OK, result); err != nil {
		return fmt.Errorf("%s: decode the answer to %s: %w", a.name, verb, err)
	}
	return nil
}

func (a *remote) isGone() bool { return a.whyGone() != nil }

// whyGone is nil while the agent lives.
func (a *remote) whyGone() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.gone
}

// close ends the agent's stdin: it heals and exits, unless told to keep.
func (a *remote) close() { a.conn.Close() }

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailKept = 4096

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailKept; over > 0 {
		t.buf = t.buf[over:]
	}
	return len(p), nil
}

func (t *tail) quote() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(t.buf))
}
