package external_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/cluster/external"
)

var (
	to   = cluster.Link{From: cluster.Clients, To: "db"}
	from = cluster.Link{From: "db", To: cluster.Clients}
)

// node is a server that echoes lines, and remembers them.
type node struct {
	net.Listener
	mu    sync.Mutex
	lines []string
}

func serve(t *testing.T) *node {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	n := &node{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.echo(c)
		}
	}()
	return n
}

func (n *node) echo(c net.Conn) {
	defer c.Close()
	for in := bufio.NewScanner(c); in.Scan(); {
		n.mu.Lock()
		n.lines = append(n.lines, in.Text())
		n.mu.Unlock()
		fmt.Fprintln(c, in.Text())
	}
}

// heard waits for a line to arrive.
func (n *node) heard(t *testing.T, want string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		n.mu.Lock()
		all := strings.Join(n.lines, ",")
		n.mu.Unlock()
		if strings.Contains(all, want) {
			return
		}
	}
	t.Fatalf("%q did not arrive", want)
}

func start(t *testing.T) (*external.External, *node) {
	n := serve(t)
	return external.New(map[string]string{"db": n.Addr().String()}), n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, x *external.External, how cluster.Cut, links ...cluster.Link) {
	t.Helper()
	s := cluster.LinkState{Cut: map[cluster.Link]cluster.Cut{}}
	for _, l := range links {
		s.Cut[l] = how
	}
	must(t, x.Cluster().Net.Apply(t.Context(), s))
}

func dial(t *testing.T, x *external.External) net.Conn {
	t.Helper()
	c, err := x.Dial(t.Context(), "db")
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// ask writes a line and waits for its echo.
func ask(c net.Conn, line string, wait time.Duration) (string, error) {
	must := c.SetDeadline(time.Now().Add(wait))
	if _, err := fmt.Fprintln(c, line); err != nil {
		return "", errors.Join(must, err)
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(got), err
}

func answers(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if got, err := ask(c, line, 5*time.Second); err != nil || got != line {
		t.Errorf("asked %q: %q, %v", line, got, err)
	}
}

const silence = 50 * time.Millisecond

// TestSilence: on a way that drops or holds nothing is heard; what was sent
// arrives once it is open again, and only then.
func TestSilence(t *testing.T) {
	for _, how := range []cluster.Cut{cluster.Drop, cluster.Hold} {
		for _, link := range []cluster.Link{to, from} {
			t.Run(fmt.Sprint(how, link), func(t *testing.T) {
				x, n := start(t)
				c := dial(t, x)
				answers(t, c, "before")
				cut(t, x, how, link)
				if got, err := ask(c, "during", silence); !isTimeout(err) {
					t.Errorf("on a cut link: %q, %v", got, err)
				}
				if link == from {
					n.heard(t, "during") // only its answer is not
				}
				ctx, cancel := context.WithTimeout(t.Context(), silence)
				defer cancel()
				if _, err := x.Dial(ctx, "db"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("dial through a cut link: %v", err)
				}
				c.Close()
				cut(t, x, cluster.Open)
				n.heard(t, "during")
				answers(t, dial(t, x), "after")
			})
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// TestReject: a way that rejects ends connections, and refuses new ones.
func TestReject(t *testing.T) {
	x, _ := start(t)
	c := dial(t, x)
	answers(t, c, "before")
	cut(t, x, cluster.Reject, to)
	if got, err := ask(c, "during", time.Second); err == nil || isTimeout(err) {
		t.Errorf("on a link that rejects: %q, %v", got, err)
	}
	if _, err := x.Dial(t.Context(), "db"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial: %v, want refused", err)
	}
	cut(t, x, cluster.Open)
	answers(t, dial(t, x), "after")
}

// TestReset ends what is established, and nothing else.
func TestReset(t *testing.T) {
	x, _ := start(t)
	c := dial(t, x)
	answers(t, c, "before")
	must(t, x.Cluster().Net.Reset(t.Context(), []cluster.Link{to, from}))
	if got, err := ask(c, "after", time.Second); err == nil || isTimeout(err) {
		t.Errorf("on a connection that was reset: %q, %v", got, err)
	}
	answers(t, dial(t, x), "again")
}

// TestProof: canaries and counters see what is cut.
func TestProof(t *testing.T) {
	x, n := start(t)
	network := x.Cluster().Net
	reach := func(wantTo, wantFrom bool) {
		t.Helper()
		got, err := network.Probe(t.Context())
		if err != nil || got[to] != wantTo || got[from] != wantFrom || len(got) != 2 {
			t.Errorf("reach %v, %v; want %t and %t", got, err, wantTo, wantFrom)
		}
	}
	reach(true, true)
	cut(t, x, cluster.Drop, to)
	reach(false, true)
	cut(t, x, cluster.Hold, from)
	reach(true, false)
	counters, err := network.Counters(t.Context())
	if err != nil || counters[from] == 0 || len(counters) != 1 {
		t.Errorf("counters %v, %v; want some on the cut link alone", counters, err)
	}
	q, err := network.Measure(t.Context(), []cluster.Link{to, from}, 20, 20*time.Millisecond)
	if err != nil || q[to].Arrived != 20 || q[to].P50 <= 0 || q[from].Arrived != 0 || q[from].Sent != 20 {
		t.Errorf("quality %+v, %v", q, err)
	}
	cut(t, x, cluster.Open)
	reach(true, true)
	if counters, err := network.Counters(t.Context()); err != nil || len(counters) != 0 {
		t.Errorf("counters after the heal: %v, %v", counters, err)
	}
	n.Close()
	reach(false, false) // the node is gone, whatever the gate says
}

// TestCan: only what is within reach can be cut, and nothing is shaped.
func TestCan(t *testing.T) {
	x := external.New(map[string]string{"a": "127.0.0.1:1", "b": "127.0.0.1:1"})
	network := x.Cluster().Net
	for _, s := range []cluster.LinkState{
		{Cut: map[cluster.Link]cluster.Cut{{From: "a", To: "b"}: cluster.Drop}},
		{Cut: map[cluster.Link]cluster.Cut{{From: cluster.Clients, To: "c"}: cluster.Drop}},
		{Shape: map[cluster.Link]cluster.Shape{{From: cluster.Clients, To: "a"}: {Delay: time.Second}}},
	} {
		if network.Can(s) == nil || network.Apply(t.Context(), s) == nil {
			t.Errorf("%+v can be had", s)
		}
	}
	if c := x.Cluster(); c.Procs != nil || c.Disks != nil || c.Why["Procs"] == "" || len(c.Nodes) != 2 {
		t.Errorf("cluster %+v", c)
	}
	if _, err := x.Dial(t.Context(), "c"); err == nil {
		t.Error("there is no such node")
	}
}

// TestMuchData: a stream passes the gate whole and in order, cut now and then.
func TestMuchData(t *testing.T) {
	x, _ := start(t)
	c := dial(t, x)
	const lines = 20000
	go func() {
		for i := range lines {
			if i%5000 == 2500 {
				cut(t, x, cluster.Hold, to, from)
				time.AfterFunc(5*time.Millisecond, func() { cut(t, x, cluster.Open) })
			}
			fmt.Fprintln(c, i)
		}
	}()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	in := bufio.NewScanner(c)
	for i := range lines {
		if !in.Scan() || in.Text() != fmt.Sprint(i) {
			t.Fatalf("line %d is %q: %v", i, in.Text(), in.Err())
		}
	}
}
