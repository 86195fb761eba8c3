package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"
)

// Verb serves one kind of request. Its answer is encoded as JSON.
type Verb func(ctx context.Context, args json.RawMessage) (any, error)

// Do makes a verb of a function with typed arguments.
func Do[A, R any](f func(context.Context, A) (R, error)) Verb {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &args); err != nil {
				return nil, fmt.Errorf("decode arguments: %w", err)
			}
		}
		return f(ctx, args)
	}
}

// Part is one thing that an agent can break. Its methods may be called at the
// same time.
type Part interface {
	Verbs() map[string]Verb
	// Heal puts back everything that this part changed. It may be called at
	// any time, more than once, and by itself: when the harness is dead.
	Heal() error
}

// Config says how to serve.
type Config struct {
	Parts []Part
	// Linger is how long the agent lives on after its input ended and all was
	// healed: a node loses its network with its holder's agent.
	Linger time.Duration
	// Stop, if set, ends the agent when it ends, as the end of the input does,
	// and without lingering.
	Stop context.Context
	// Log is where trouble is told that nobody asked about.
	Log io.Writer
}

// maxLine bounds a request.
const maxLine = 64 << 20

type server struct {
	c     Config
	verbs map[string]Verb

	mu    sync.Mutex // guards what follows, and the output
	out   *json.Encoder
	lease time.Duration
	timer *time.Timer
	kept  bool
}

// Serve answers the requests that come in until the input ends, which it
// takes for the death of the harness: it heals, lingers and returns. When the
// lease runs out, because the harness hangs, it heals and tells so by an
// event, and goes on.
func Serve(in io.Reader, out io.Writer, c Config) error {
	s := &server{c: c, verbs: map[string]Verb{}, out: json.NewEncoder(out)}
	s.verbs[VerbLease] = Do(s.setLease)
	s.verbs[VerbRenew] = Do(func(context.Context, None) (None, error) { return None{}, nil })
	s.verbs[VerbKeep] = Do(s.keep)
	for _, p := range c.Parts {
		for name, v := range p.Verbs() {
			s.verbs[name] = v
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	if c.Stop == nil {
		c.Stop = context.Background()
	}
	lines := bufio.NewScanner(until(c.Stop, in))
	lines.Buffer(nil, maxLine)
	var busy sync.WaitGroup
	for lines.Scan() {
		s.renew()
		var r Request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			s.answer(Response{Event: "request is not understood: " + err.Error()})
			continue
		}
		busy.Go(func() { s.answer(s.serve(ctx, r)) })
	}
	stopped := c.Stop.Err() != nil
	cancel()
	busy.Wait()
	s.mu.Lock()
	kept := s.kept
	s.lease = 0
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	err := errors.Join(lines.Err(), s.heal())
	switch {
	case stopped:
	case kept:
		<-c.Stop.Done()
	default:
		select {
		case <-time.After(c.Linger):
		case <-c.Stop.Done():
		}
	}
	return err
}

// until is an input that ends with ctx as well.
func until(ctx context.Context, in io.Reader) io.Reader {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.Close() })
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
	}()
	return r
}

// serve runs one verb. A panic in it is an error like any other: the agent
// must live to heal.
func (s *server) serve(ctx context.Context, r Request) (resp Response) {
	resp.ID = r.ID
	defer func() {
		if p := recover(); p != nil {
			resp.Err = fmt.Sprintf("panic: %v", p)
			fmt.Fprintf(s.c.Log, "%v\n%s", p, debug.Stack())
		}
	}()
	v := s.verbs[r.Verb]
	if v == nil {
		resp.Err = "unknown request " + r.Verb
		return resp
	}
	result, err := v(ctx, r.Args)
	if err == nil {
		resp.OK, err = json.Marshal(result)
	}
	if err != nil {
		resp.Err = err.Error()
	}
	return resp
}

func (s *server) answer(r Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Nobody is left to tell if this fails; the input will end as well.
	_ = s.out.Encode(r)
}

func (s *server) setLease(_ context.Context, l Lease) (None, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lease = time.Duration(l.Millis) * time.Millisecond
	if s.timer == nil {
		s.timer = time.AfterFunc(s.lease, s.lapse)
	}
	return None{}, nil
}

func (s *server) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease > 0 {
		s.timer.Reset(s.lease)
	}
}

func (s *server) lapse() {
	s.mu.Lock()
	over := s.lease > 0
	s.mu.Unlock()
	if !over {
		return
	}
	text := "lease expired, healed"
	if err := s.heal(); err != nil {
		text = "lease expired, heal failed: " + err.Error()
	}
	s.answer(Response{Event: text})
}

func (s *server) keep(context.Context, None) (None, error) {
	s.mu.Lock()
	s.lease, s.kept = 0, true
	s.mu.Unlock()
	return None{}, s.heal()
}

func (s *server) heal() error {
	var errs []error
	for _, p := range s.c.Parts {
		if err := p.Heal(); err != nil {
			errs = append(errs, err)
			fmt.Fprintf(s.c.Log, "heal: %v\n", err)
		}
	}
	return errors.Join(errs...)
}
