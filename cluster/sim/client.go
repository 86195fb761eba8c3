package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// Client is a connection to one node. It has one call in flight at a time.
type Client struct {
	w   *World
	h   *host
	rng *rand.Rand
	// cuttable is true if faults of client links concern it.
	cuttable bool
}

// Dial connects to a node, which answers if its machine accepts connections
// for a process: a dead one has none, a paused one does not notice.
func (w *World) Dial(ctx context.Context, node string, process int) (*Client, error) {
	h, err := w.host(node)
	if err != nil {
		return nil, err
	}
	if w.clients++; w.clients == 1 {
		w.opened = w.now
	}
	c := &Client{w: w, h: h, rng: stream(w.cfg.Seed, streamClient, uint64(process), w.clients), cuttable: true}
	if err := c.handshake(ctx, c.request()); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	refused := h.state == cluster.Dead
	if err := c.handshake(ctx, c.response()); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, err)
	}
	if refused {
		return nil, errRefused(node)
	}
	return c, nil
}

// request is the link that carries what the client asks, response the one that
// carries the answers.
func (c *Client) request() *link  { return c.w.link(c.w.clientSide(), c.h.id) }
func (c *Client) response() *link { return c.w.link(c.h.id, c.w.clientSide()) }

// handshake waits for one packet over a link; one that is lost on the way is
// never answered.
func (c *Client) handshake(ctx context.Context, l *link) error {
	took, lost := c.delay(l)
	if err := c.w.Sleep(ctx, took); err != nil {
		return err
	}
	if lost || l.cut != cluster.Open {
		return c.w.await(ctx, &signal{})
	}
	return nil
}

// delay draws how long a packet takes over a client's link, and whether it is
// lost.
func (c *Client) delay(l *link) (took time.Duration, lost bool) {
	took = c.w.cfg.Client.draw(c.rng)
	if !c.cuttable {
		return took, false
	}
	b := l.bend(l.shaper)
	return took + b.extra + l.queue(c.w.now), b.lost
}

func errRefused(node string) error {
	return fmt.Errorf("call %s: connection refused: %w", node, history.ErrNotApplied)
}

func errReset(node string) error { return fmt.Errorf("call %s: connection reset", node) }

// Call is a request of a client on its way.
type Call struct {
	// Body is what the client asked.
	Body  any
	c     *Client
	pos   int // in the host's list of open calls, -1 if in none
	reply any
	err   error
	done  signal
}

// Start sends a request without waiting for the answer.
func (c *Client) Start(body any) *Call {
	call := &Call{Body: body, c: c, pos: -1}
	if took, lost := c.delay(c.request()); !lost {
		c.w.post(c.w.now+took, c.h, hostRequest, 0, 0, call)
	}
	return call
}

// Finish waits for the answer. If the context ends first, nobody knows what
// the call did or will do.
func (c *Call) Finish(ctx context.Context) (any, error) {
	if err := c.c.w.await(ctx, &c.done); err != nil {
		return nil, fmt.Errorf("call %s: no answer: %w", c.c.h.name, err)
	}
	return c.reply, c.err
}

// Call sends a request and waits for the answer.
func (c *Client) Call(ctx context.Context, body any) (any, error) {
	return c.Start(body).Finish(ctx)
}

// Reply answers the call. A second answer, and one to a connection that was
// reset, is ignored.
func (c *Call) Reply(v any) {
	if c.pos >= 0 {
		c.c.h.release(c)
		c.answer(v, nil)
	}
}

// answer sends the outcome back to the client.
func (c *Call) answer(v any, err error) {
	c.reply, c.err = v, err
	w := c.c.w
	if took, lost := c.c.delay(c.c.response()); !lost {
		w.post(w.now+took, c, 0, 0, 0, nil)
	}
}

// handle is the answer's arrival.
func (c *Call) handle(uint8, uint32, uint32, any) {
	if c.c.cuttable && c.c.response().stopped(parcel{h: c}) {
		return
	}
	c.c.w.fire(&c.done)
}

// Watch gives a connection for questions about a node's state. It is there at
// once and for good, so a dead node refuses its calls; no fault concerns it.
func (w *World) Watch(node string) (*Client, error) {
	h, err := w.host(node)
	if err != nil {
		return nil, err
	}
	return &Client{w: w, h: h, rng: stream(w.cfg.Seed, streamWatch, uint64(h.id), 0)}, nil
}
