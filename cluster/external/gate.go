package external

import (
	"context"
	"io"
	"net"
	"sync"

	"github.com/capstan-dev/capstan/cluster"
)

// gate is where the connections to one node are cut. What TCP carries is not
// lost while a way drops packets, it is sent again: so bytes that come to a
// closed gate wait, whether it drops or holds, and go on when it opens, even if
// their sender has closed the connection meanwhile.
type gate struct {
	mu      sync.Mutex
	cut     [2]cluster.Cut
	met     [2]uint64     // what came to each way since it is cut
	changed chan struct{} // closed when cut changes
	lines   map[*line]bool
}

func newGate() *gate { return &gate{changed: make(chan struct{}), lines: map[*line]bool{}} }

// set cuts and opens the ways. A way that rejects ends the connections at once.
func (g *gate) set(cut [2]cluster.Cut) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w, c := range cut {
		if g.cut[w] == cluster.Open || c == cluster.Open {
			g.met[w] = 0
		}
	}
	if cut == g.cut {
		return
	}
	g.cut = cut
	close(g.changed)
	g.changed = make(chan struct{})
	if cut[in] == cluster.Reject || cut[out] == cluster.Reject {
		g.reset()
	}
}

// reset ends all connections; mu is held.
func (g *gate) reset() {
	for l := range g.lines {
		l.reset()
	}
}

// look returns the state of a way, and what closes when it changes. Whoever
// looks at a closed one is counted.
func (g *gate) look(w way, counts bool) (cluster.Cut, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cut[w] != cluster.Open && counts {
		g.met[w]++
	}
	return g.cut[w], g.changed
}

// pass returns when the way is open.
func (g *gate) pass(ctx context.Context, w way) error {
	for counts := true; ; counts = false {
		cut, changed := g.look(w, counts)
		switch cut {
		case cluster.Open:
			return nil
		case cluster.Reject:
			return errRefused
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// line is a connection through the gate: the client has one end of a pipe, and
// bytes go between its other end and the node.
type line struct {
	net.Conn // the client's end
	inner    net.Conn
	real     net.Conn
	cancel   context.CancelFunc
}

// LocalAddr and RemoteAddr are those of the connection to the node.
func (l *line) LocalAddr() net.Addr  { return l.real.LocalAddr() }
func (l *line) RemoteAddr() net.Addr { return l.real.RemoteAddr() }

// end closes the connection on both sides.
func (l *line) end() {
	l.cancel()
	l.real.Close()
	l.inner.Close()
}

// reset does so at once: what is under way is lost.
func (l *line) reset() {
	if tcp, ok := l.real.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	l.end()
}

// connect makes a line of a connection.
func (g *gate) connect(real net.Conn) net.Conn {
	ctx, cancel := context.WithCancel(context.Background())
	l := &line{real: real, cancel: cancel}
	l.Conn, l.inner = net.Pipe()
	g.mu.Lock()
	g.lines[l] = true
	g.mu.Unlock()
	sent := make(chan []byte, mostWaiting)
	go l.take(ctx, sent)
	go func() { // what the client sent, and then its end
		g.send(ctx, l, sent)
		g.mu.Lock()
		delete(g.lines, l)
		g.mu.Unlock()
		l.end()
	}()
	go func() { // what the node answers, and then its end
		g.answer(ctx, l)
		l.inner.Close()
	}()
	return l
}

// mostWaiting is how many writes of a client wait before it is held up, as by a
// socket's buffer.
const mostWaiting = 256

// take reads what the client writes.
func (l *line) take(ctx context.Context, sent chan<- []byte) {
	defer close(sent)
	for {
		buf := make([]byte, 16<<10)
		n, err := l.inner.Read(buf)
		if n > 0 {
			select {
			case sent <- buf[:n]:
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// send passes on what the client wrote.
func (g *gate) send(ctx context.Context, l *line, sent <-chan []byte) {
	for b := range sent {
		if g.pass(ctx, in) != nil {
			return
		}
		if _, err := l.real.Write(b); err != nil {
			return
		}
	}
}

// answer passes on what the node wrote, and that it closed.
func (g *gate) answer(ctx context.Context, l *line) {
	buf := make([]byte, 16<<10)
	for {
		n, err := l.real.Read(buf)
		if n == 0 && err == nil {
			continue
		}
		if g.pass(ctx, out) != nil {
			return
		}
		if _, werr := l.inner.Write(buf[:n]); werr != nil {
			_, _ = io.Copy(io.Discard, l.real) // nobody listens any more
			return
		}
		if err != nil {
			return
		}
	}
}
