package agent_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent"
)

// fake is a part that counts its heals.
type fake struct{ heals atomic.Int32 }

func (f *fake) Verbs() map[string]agent.Verb {
	return map[string]agent.Verb{
		"double": agent.Do(func(_ context.Context, n int) (int, error) { return 2 * n, nil }),
		"fail":   agent.Do(func(context.Context, agent.None) (agent.None, error) { return agent.None{}, errors.New("no") }),
		"panic":  agent.Do(func(context.Context, agent.None) (agent.None, error) { panic("oh") }),
		"wait": agent.Do(func(ctx context.Context, _ agent.None) (agent.None, error) {
			<-ctx.Done()
			return agent.None{}, ctx.Err()
		}),
	}
}

func (f *fake) Heal() error { f.heals.Add(1); return nil }

type pipe struct {
	in    *io.PipeWriter
	lines *bufio.Scanner
	done  chan error
	part  *fake
}

func serve(t *testing.T) *pipe {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p := &pipe{in: inW, lines: bufio.NewScanner(outR), done: make(chan error, 1), part: &fake{}}
	go func() {
		p.done <- agent.Serve(inR, outW, agent.Config{Parts: []agent.Part{p.part}, Log: t.Output()})
		outW.Close()
	}()
	t.Cleanup(func() { inW.Close() })
	return p
}

func (p *pipe) ask(t *testing.T, line string) agent.Response {
	t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return p.next(t)
}

func (p *pipe) next(t *testing.T) (r agent.Response) {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("no answer: %v", p.lines.Err())
	}
	if err := json.Unmarshal(p.lines.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAnswers(t *testing.T) {
	p := serve(t)
	if r := p.ask(t, `{"id":1,"verb":"double","args":21}`); r.ID != 1 || string(r.OK) != "42" {
		t.Errorf("double: %+v", r)
	}
	for id, bad := range []string{
		`{"id":0,"verb":"fail"}`, `{"id":1,"verb":"panic"}`, `{"id":2,"verb":"nonsense"}`, `{"id":3,"verb":"double","args":"x"}`,
	} {
		if r := p.ask(t, bad); r.ID != id || r.Err == "" {
			t.Errorf("%s: %+v", bad, r)
		}
	}
	if r := p.ask(t, `not json`); !strings.Contains(r.Event, "not understood") {
		t.Errorf("garbage: %+v", r)
	}
}

func TestEndOfInputHeals(t *testing.T) {
	p := serve(t)
	p.ask(t, `{"id":1,"verb":"double","args":1}`)
	if _, err := io.WriteString(p.in, `{"id":2,"verb":"wait"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	p.in.Close()
	p.next(t) // the request under way is cut short
	if err := <-p.done; err != nil || p.part.heals.Load() != 1 {
		t.Errorf("%v, healed %d times", err, p.part.heals.Load())
	}
}

func TestStopHealsAndDoesNotLinger(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	stop, cancel := context.WithCancel(t.Context())
	part := &fake{}
	done := make(chan error, 1)
	go func() {
		done <- agent.Serve(in, io.Discard, agent.Config{Parts: []agent.Part{part}, Stop: stop, Linger: time.Hour, Log: t.Output()})
	}()
	cancel()
	if err := <-done; err != nil || part.heals.Load() != 1 {
		t.Errorf("%v, healed %d times", err, part.heals.Load())
	}
}

func TestLeaseExpires(t *testing.T) {
	p := serve(t)
	p.ask(t, `{"id":1,"verb":"lease","args":{"millis":30}}`)
	if r := p.next(t); r.Event != "lease expired, healed" || p.part.heals.Load() != 1 {
		t.Errorf("%+v, healed %d times", r, p.part.heals.Load())
	}
	// It serves on, and the next request starts the lease again.
	if r := p.ask(t, `{"id":2,"verb":"renew"}`); r.ID != 2 {
		t.Errorf("renew: %+v", r)
	}
	if r := p.next(t); r.Event == "" {
		t.Errorf("second lease: %+v", r)
	}
}

func TestRenewedLeaseHolds(t *testing.T) {
	p := serve(t)
	p.ask(t, `{"id":1,"verb":"lease","args":{"millis":400}}`)
	for i := range 10 {
		time.Sleep(60 * time.Millisecond)
		if r := p.ask(t, `{"id":2,"verb":"renew"}`); r.Event != "" {
			t.Fatalf("renewal %d: %+v", i, r)
		}
	}
	if p.part.heals.Load() != 0 {
		t.Error("healed while the lease was renewed")
	}
}
