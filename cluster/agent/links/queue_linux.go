package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Constants of linux/netfilter/nfnetlink_queue.h.
const (
	nfqPacket  = 0
	nfqVerdict = 1
	nfqConfig  = 2

	nfqaPacketHeader  = 1
	nfqaVerdictHeader = 2
	nfqaPayload       = 10
	nfqaCapLen        = 13

	nfqaConfigCommand = 1
	nfqaConfigParams  = 2
	nfqaConfigMaxLen  = 3
	nfqaConfigMask    = 4
	nfqaConfigFlags   = 5

	nfqBind       = 1
	nfqCopyPacket = 2
	nfqFailOpen   = 1 << 0
	nfqGSO        = 1 << 2

	nfDrop, nfAccept = 0, 1
)

const (
	// queueLength is how many packets the kernel keeps for us at most.
	queueLength = 200_000
	// queueBuffer is for packets on the way to us, in bytes.
	queueBuffer = 32 << 20
	// batchSize is how many packets are read at a time.
	batchSize = 32
	// wholePacket and headersOnly are how much of a packet is read.
	wholePacket, headersOnly = 0xffff, 64
)

// queue is one NFQUEUE: packets wait in the kernel for a verdict.
type queue struct {
	*socket
	number   uint16
	buffers  [batchSize][]byte
	headers  [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	verdicts message
	copying  uint32
	open     bool
}

type mmsghdr struct {
	unix.Msghdr
	n uint32
	_ uint32
}

// packet is what the kernel tells of one.
type packet struct {
	id   uint32
	size int    // of the whole
	data []byte // its beginning; valid until the next read
}

// openQueue binds a queue. Segments that the kernel lumped together stay so
// if lumps are good.
func openQueue(number uint16, lumps bool) (*queue, error) {
	s, err := openSocket(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	q := &queue{socket: s, number: number}
	if err := q.bind(lumps); err != nil {
		s.close()
		return nil, fmt.Errorf("open packet queue %d: %w", number, err)
	}
	for i := range q.buffers {
		q.buffers[i] = make([]byte, wholePacket+1024)
		q.vectors[i].Base = &q.buffers[i][0]
		q.vectors[i].SetLen(len(q.buffers[i]))
		q.headers[i].Iov = &q.vectors[i]
		q.headers[i].SetIovlen(1)
	}
	return q, nil
}

func (q *queue) bind(lumps bool) error {
	flags := uint32(nfqFailOpen)
	if lumps {
		flags |= nfqGSO
	}
	steps := []func(*message){
		func(m *message) { m.attr(nfqaConfigCommand, []byte{nfqBind, 0, 0, 0}) },
		func(m *message) { m.uint32(nfqaConfigMaxLen, queueLength) },
		func(m *message) { m.uint32(nfqaConfigMask, flags); m.uint32(nfqaConfigFlags, flags) },
		func(m *message) { m.attr(nfqaConfigParams, copyParams(headersOnly)) },
	}
	for _, step := range steps {
		if err := q.ask(q.config(unix.NLM_F_ACK, step), nil); err != nil {
			return err
		}
	}
	q.copying, q.open = headersOnly, true
	// The buffer may be refused, to a container without rights over the host:
	// then only bursts are lost sooner.
	if unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, queueBuffer) != nil {
		_ = unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, queueBuffer)
	}
	return errors.Join(
		os.NewSyscallError("setsockopt", unix.SetsockoptInt(q.fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1)),
		os.NewSyscallError("fcntl", unix.SetNonblock(q.fd, true)))
}

func copyParams(n uint32) []byte { return append(binary.BigEndian.AppendUint32(nil, n), nfqCopyPacket) }

func (q *queue) config(flags int, f func(*message)) []byte {
	var m message
	at := m.begin(unix.NFNL_SUBSYS_QUEUE, nfqConfig, flags, unix.AF_UNSPEC, q.number)
	f(&m)
	m.end(at)
	return m.b
}

// tune says how much of each packet is read, and whether packets pass when
// there are too many, or are lost.
func (q *queue) tune(copying uint32, open bool) error {
	if copying == q.copying && open == q.open {
		return nil
	}
	q.copying, q.open = copying, open
	flags := uint32(0)
	if open {
		flags = nfqFailOpen
	}
	return errors.Join(
		q.send(q.config(0, func(m *message) { m.attr(nfqaConfigParams, copyParams(copying)) })),
		q.send(q.config(0, func(m *message) { m.uint32(nfqaConfigMask, nfqFailOpen); m.uint32(nfqaConfigFlags, flags) })))
}

// read hands packets that are there to f, and returns how many there were.
func (q *queue) read(f func(packet)) int {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&q.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0 // nothing is there
	}
	for i := range int(n) {
		_ = split(q.buffers[i][:q.headers[i].n], func(kind uint16, payload []byte) error {
			if kind == unix.NFNL_SUBSYS_QUEUE<<8|nfqPacket && len(payload) >= 4 {
				f(parsePacket(payload[4:]))
			}
			return nil
		})
	}
	return int(n)
}

func parsePacket(b []byte) (p packet) {
	attributes(b, func(kind uint16, value []byte) {
		switch {
		case kind == nfqaPacketHeader && len(value) >= 4:
			p.id = binary.BigEndian.Uint32(value)
		case kind == nfqaPayload:
			p.data, p.size = value, max(p.size, len(value))
		case kind == nfqaCapLen && len(value) >= 4:
			p.size = max(p.size, int(binary.BigEndian.Uint32(value)))
		}
	})
	return p
}

// say adds a verdict; data replaces the packet unless it is nil.
func (q *queue) say(id uint32, verdict uint32, data []byte) {
	m := &q.verdicts
	at := m.begin(unix.NFNL_SUBSYS_QUEUE, nfqVerdict, 0, unix.AF_UNSPEC, q.number)
	m.b = binary.NativeEndian.AppendUint16(m.b, 12)
	m.b = binary.NativeEndian.AppendUint16(m.b, nfqaVerdictHeader)
	m.b = binary.BigEndian.AppendUint32(m.b, verdict)
	m.b = binary.BigEndian.AppendUint32(m.b, id)
	if data != nil {
		m.attr(nfqaPayload, data)
	}
	m.end(at)
	if len(m.b) > 1<<14 {
		q.flush()
	}
}

// flush sends the verdicts.
func (q *queue) flush() {
	if len(q.verdicts.b) == 0 {
		return
	}
	// A packet may be gone by now, with its interface: nothing is to be done.
	_ = q.send(q.verdicts.b)
	q.verdicts.b = q.verdicts.b[:0]
}
