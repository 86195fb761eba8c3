package docker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
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

// agent is this end of the pipe to the script in a holder. Its methods may be
// called from any goroutine.
type agent struct {
	node string
	conn types.HijackedResponse
	log  *slog.Logger

	mu      sync.Mutex
	next    int
	waiting map[int]chan string
	lapsed  error         // set when the agent healed by itself
	gone    error         // why the agent is no more
	done    chan struct{} // closed when it is
}

func newAgent(node string, conn types.HijackedResponse, log *slog.Logger) *agent {
	a := &agent{node: node, conn: conn, log: log, waiting: map[int]chan string{}, done: make(chan struct{})}
	go a.read()
	return a
}

// read hands answers to those who wait for them, until the stream ends.
func (a *agent) read() {
	out, w := io.Pipe()
	var last tail
	go func() {
		_, err := stdcopy.StdCopy(w, &last, a.conn.Reader)
		w.CloseWithError(errors.Join(io.EOF, err))
	}()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, text, _ := strings.Cut(lines.Text(), " ")
		if id == "!" {
			a.lapse(text)
			continue
		}
		a.answer(id, text)
	}
	a.fail(fmt.Errorf("%s: holder is gone%s", a.node, last.quote()))
}

func (a *agent) answer(id, text string) {
	n, err := strconv.Atoi(id)
	if err != nil {
		a.log.Warn("holder's agent is not understood", "node", a.node, "text", id+" "+text)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch := a.waiting[n]; ch != nil {
		delete(a.waiting, n)
		ch <- text
	}
}

func (a *agent) lapse(text string) {
	a.log.Warn("holder healed by itself", "node", a.node, "text", text)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lapsed = fmt.Errorf("%s: %w: %s", a.node, cluster.ErrLapsed, text)
}

// takeLapse returns, once, that the agent healed by itself.
func (a *agent) takeLapse() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.lapsed
	a.lapsed = nil
	return err
}

func (a *agent) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone == nil {
		a.gone = err
		close(a.done)
	}
}

// call makes one request and waits for its answer.
func (a *agent) call(ctx context.Context, verb string, args ...string) (string, error) {
	answer := make(chan string, 1)
	id, err := a.send(answer, verb, args)
	if err != nil {
		return "", err
	}
	select {
	case text := <-answer:
		return a.result(verb, text)
	case <-a.done:
		return "", a.gone
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.waiting, id)
		a.mu.Unlock()
		return "", fmt.Errorf("%s: wait for the holder's %s: %w", a.node, verb, ctx.Err())
	}
}

func (a *agent) send(answer chan string, verb string, args []string) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone != nil {
		return 0, a.gone
	}
	a.next++
	line := strings.Join(append([]string{strconv.Itoa(a.next), verb}, args...), " ") + "\n"
	if err := a.conn.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, fmt.Errorf("%s: bound the request to the holder: %w", a.node, err)
	}
	if _, err := io.WriteString(a.conn.Conn, line); err != nil {
		return 0, fmt.Errorf("%s: ask the holder to %s: %w", a.node, verb, err)
	}
	a.waiting[a.next] = answer
	return a.next, nil
}

func (a *agent) result(verb, text string) (string, error) {
	status, rest, _ := strings.Cut(text, " ")
	if status != "ok" {
		return "", fmt.Errorf("%s: holder cannot %s: %s", a.node, verb, rest)
	}
	return rest, nil
}

func (a *agent) isGone() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// close ends the agent's stdin: it heals and exits, unless told to keep.
func (a *agent) close() { a.conn.Close() }

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
