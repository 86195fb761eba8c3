package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/history"
	"golang.org/x/term"
)

// progress tells on stderr what goes on: a line for each phase and fault, and
// between them a footer on a terminal or a heartbeat line elsewhere.
type progress struct {
	w     io.Writer
	tty   bool
	log   *slog.Logger
	start time.Time
	quit  chan struct{}
	done  chan struct{}

	mu     sync.Mutex
	counts [4]int // by history.Kind
	at     time.Duration
	footer bool
	closed bool
}

func newProgress(w io.Writer, log *slog.Logger) *progress {
	p := &progress{w: w, log: log, start: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	f, ok := w.(*os.File)
	p.tty = ok && term.IsTerminal(int(f.Fd()))
	go p.beat()
	return p
}

// beat refreshes the footer, or prints a line now and then.
func (p *progress) beat() {
	defer close(p.done)
	every := 10 * time.Second
	if p.tty {
		every = 200 * time.Millisecond
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-p.quit:
			return
		case <-t.C:
		}
		p.mu.Lock()
		if p.counts[history.Invoke] > 0 {
			p.wipe()
			if p.tty {
				fmt.Fprint(p.w, p.stats())
				p.footer = true
			} else {
				fmt.Fprintf(p.w, "%s\n", p.stats())
			}
		}
		p.mu.Unlock()
	}
}

func (p *progress) stats() string {
	c := p.counts
	return fmt.Sprintf("%s  %d operations: %d ok, %d fail, %d unknown",
		p.clock(), c[history.Invoke], c[history.OK], c[history.Fail], c[history.Info])
}

// clock is the time of the history once there is one, else of the command.
func (p *progress) clock() string {
	t := p.at
	if p.counts[history.Invoke] == 0 {
		t = time.Since(p.start)
	}
	return fmt.Sprintf("[%6.1fs]", t.Seconds())
}

// wipe removes the footer from the terminal.
func (p *progress) wipe() {
	if p.footer {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.footer = false
	}
}

func (p *progress) line(format string, args ...any) {
	p.wipe()
	fmt.Fprintf(p.w, "%s  %s\n", p.clock(), fmt.Sprintf(format, args...))
}

func (p *progress) phase(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line(format, args...)
	p.log.Info(fmt.Sprintf(format, args...))
}

func (p *progress) warn(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line("warning: "+format, args...)
	p.log.Warn(fmt.Sprintf(format, args...))
}

// watch counts a client's event, and tells a fault's.
func (p *progress) watch(e history.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = max(p.at, e.Time)
	if e.Process != history.Nemesis {
		p.counts[e.Kind]++
		return
	}
	if e.Kind == history.Invoke {
		return
	}
	var d history.FaultDetail
	if json.Unmarshal(e.Value, &d) != nil {
		return
	}
	what := "in force"
	if strings.HasPrefix(e.F, "stop-") {
		what = "healed"
	}
	switch {
	case e.Err != "":
		p.line("fault %d %s: %s", d.ID, d.Fault, e.Err)
	case !d.Proven:
		p.line("fault %d %s: NOT PROVEN %s: %s", d.ID, d.Fault, what, d.Proof)
	default:
		p.line("fault %d %s %s: %s", d.ID, d.Fault, what, d.Proof)
	}
	p.log.Info("fault", "f", e.F, "detail", string(e.Value), "error", e.Err)
}

func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.quit)
		p.wipe()
	}
}
