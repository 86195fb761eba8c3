package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/capstan-dev/capstan/cluster"
)

// engine takes packets out of the kernel's queues and lets them go on as the
// shape of their link wants. One thread does all of it.
//
// Packets that come wait in the kernel. Those that are sent are taken away
// from their socket at once, and sent anew: a socket that must answer for
// everything that waits sends next to nothing.
type engine struct {
	in, out *queue
	inject  *injector
	event   int

	mu     sync.Mutex // guards what follows
	shaper shaper
	lanes  [2]map[netip.Addr]*lane // of in and out
}

const laneIn, laneOut = 0, 1

// newEngine opens the queues and starts the thread, which lives as long as the
// process. Without rules it has nothing to do.
func newEngine(seed uint64) (e *engine, err error) {
	e = &engine{event: -1}
	e.shaper.rng = rand.New(rand.NewPCG(seed, 0))
	if e.inject, err = newInjector(); err != nil {
		return nil, err
	}
	if e.in, err = openQueue(queueIn, true); err != nil {
		return nil, err
	}
	// What is sent anew must be as it goes over the wire: no lumps.
	if e.out, err = openQueue(queueOut, false); err != nil {
		return nil, err
	}
	if err := e.out.tune(wholePacket, true); err != nil {
		return nil, fmt.Errorf("prepare packet queue: %w", err)
	}
	if e.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	go e.loop()
	return e, nil
}

// set replaces the lanes. Packets that wait on a link keep their places; those
// that were held go on if the link is open now, and are dropped if it is cut.
func (e *engine) set(in, out []Rule) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := Clock()
	whole, hold := false, false
	for dir, rules := range [][]Rule{in, out} {
		old := e.peers(dir)
		lanes := map[netip.Addr]*lane{}
		for _, r := range rules {
			l := old[r.Peer]
			if l == nil {
				l = &lane{peer: r.Peer}
			}
			delete(old, r.Peer)
			e.change(l, r, now)
			whole = whole || r.Shape.Corrupt > 0 || r.Shape.Duplicate > 0
			hold = hold || l.hold
			for _, a := range r.Addrs {
				lanes[a] = l
			}
		}
		for _, l := range old {
			e.shaper.release(l, now, true)
		}
		e.lanes[dir] = lanes
	}
	copying := uint32(headersOnly)
	if whole {
		copying = wholePacket
	}
	err := errors.Join(e.in.tune(copying, !hold), e.out.tune(wholePacket, !hold))
	return errors.Join(err, e.wake())
}

// peers are the lanes of a direction by name.
func (e *engine) peers(dir int) map[string]*lane {
	m := map[string]*lane{}
	for _, l := range e.lanes[dir] {
		m[l.peer] = l
	}
	return m
}

func (e *engine) change(l *lane, r Rule, now int64) {
	hold := r.Cut == cluster.Hold
	switch {
	case r.Cut == cluster.Drop, r.Cut == cluster.Reject:
		for _, p := range e.shaper.discard(l) {
			e.drop(p)
		}
	case l.hold && !hold:
		e.shaper.release(l, now, false)
	}
	l.hold, l.shape = hold, r.Shape
}

// drop ends the waiting of a packet for good.
func (e *engine) drop(p parcel) {
	if !p.anew {
		e.in.say(p.id, nfDrop, nil)
	}
}

// overflow is how many packets were not held for want of room, since the last
// call.
func (e *engine) overflow() (n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n, e.shaper.overflow = e.shaper.overflow, 0
	return n
}

// count is how many packets of a lane were seen.
func (e *engine) count(dir int, peer string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.peers(dir)[peer]; l != nil {
		return l.count
	}
	return 0
}

// wake makes the thread look at its state anew.
func (e *engine) wake() error {
	_, err := unix.Write(e.event, binary.NativeEndian.AppendUint64(nil, 1))
	return os.NewSyscallError("write", err)
}

func (e *engine) loop() {
	runtime.LockOSThread()
	// The kernel would else round our sleeps up, by 50 µs.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	fds := []unix.PollFd{{Fd: int32(e.in.fd), Events: unix.POLLIN}, {Fd: int32(e.out.fd), Events: unix.POLLIN}, {Fd: int32(e.event), Events: unix.POLLIN}}
	var event [8]byte
	for {
		// Its only error is an interruption.
		_, _ = unix.Ppoll(fds, e.timeout(), nil)
		if fds[2].Revents != 0 {
			_, _ = unix.Read(e.event, event[:])
		}
		e.turn()
	}
}

// timeout is until the next packet is due; nil if none is.
func (e *engine) timeout() *unix.Timespec {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.shaper.next()
	if !ok {
		return nil
	}
	ts := unix.NsecToTimespec(max(at-Clock(), 0))
	return &ts
}

// turn reads what is there and lets go what is due.
func (e *engine) turn() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.letGo()
	e.in.read(func(p packet) { e.take(laneIn, p) })
	e.out.read(func(p packet) { e.take(laneOut, p) })
	e.letGo()
	e.in.flush()
	e.out.flush()
}

func (e *engine) letGo() {
	for now := Clock(); ; {
		p, ok := e.shaper.due(now)
		if !ok {
			return
		}
		e.emit(p)
	}
}

// take decides about a packet that came.
func (e *engine) take(dir int, p packet) {
	q := e.in
	src, dst, _ := ends(p.data)
	addr := src
	if dir == laneOut {
		q, addr = e.out, dst
	}
	l := e.lanes[dir][addr]
	if l == nil { // its rule was taken away this instant
		q.say(p.id, nfAccept, nil)
		return
	}
	now := Clock()
	f := e.shaper.decide(l, now, p.size)
	if f.drop {
		q.say(p.id, nfDrop, nil)
		return
	}
	out := parcel{at: f.at, lane: l, size: p.size, id: p.id, out: dir == laneOut}
	if dir == laneOut && (l.hold || f.at > now || f.corrupt || f.again) || f.corrupt && len(p.data) == p.size {
		out.data = e.copied(p.data, f.corrupt, l.shape.Disguise)
	}
	out.anew = dir == laneOut && out.data != nil
	if out.anew {
		q.say(p.id, nfDrop, nil)
	}
	if f.again && len(p.data) == p.size {
		again := parcel{at: f.at, lane: l, size: p.size, data: e.copied(p.data, false, false), anew: true}
		defer e.pass(again, now)
	}
	e.pass(out, now)
}

// copied is a packet's content with right checksums, and then corrupted: with
// checksums to match if it is to be disguised.
func (e *engine) copied(data []byte, spoil, disguise bool) []byte {
	data = slices.Clone(data)
	repair(data)
	if spoil && corrupt(data, e.shaper.rng) && disguise {
		repair(data)
	}
	return data
}

// pass lets a packet go on now, or wait.
func (e *engine) pass(p parcel, now int64) {
	switch {
	case p.at <= now:
		e.emit(p)
	case !e.shaper.keep(p):
		e.drop(p)
	}
}

func (e *engine) emit(p parcel) {
	switch {
	case p.anew:
		e.inject.send(p.data)
	case p.out:
		e.out.say(p.id, nfAccept, nil)
	default:
		e.in.say(p.id, nfAccept, p.data)
	}
}
