package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Constants and layouts of linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	sockDestroy      = 21
	// diagID is the size of inet_diag_sockid, and diagMessage that of
	// inet_diag_msg up to its end.
	diagID      = 48
	diagMessage = 72
)

// anyButListening are the states of TCP connections that have a peer.
const anyButListening = 0xfff &^ (1<<10 | 1<<7) // not LISTEN, not CLOSE

// reset destroys the TCP connections of this network namespace to the given
// addresses, and returns how many those were. Both ends learn, if their link
// is open.
func reset(peers []netip.Addr) (n int, err error) {
	return destroy(func(a netip.AddrPort) bool { return slices.Contains(peers, a.Addr()) })
}

func destroy(doomed func(remote netip.AddrPort) bool) (n int, err error) {
	s, err := openSocket(unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	defer s.close()
	for _, af := range []uint8{unix.AF_INET, unix.AF_INET6} {
		var ids [][]byte
		err := s.ask(diagRequest(sockDiagByFamily, unix.NLM_F_DUMP, af, make([]byte, diagID)), func(_ uint16, b []byte) {
			if id, remote, ok := diagSocket(b); ok && doomed(remote) {
				ids = append(ids, id)
			}
		})
		if err != nil {
			return n, fmt.Errorf("list TCP connections: %w", err)
		}
		for _, id := range ids {
			err := s.ask(diagRequest(sockDestroy, unix.NLM_F_ACK, af, id), nil)
			if err != nil && !errors.Is(err, unix.ENOENT) { // it ended by itself
				return n, fmt.Errorf("destroy TCP connection: %w", err)
			}
			n++
		}
	}
	return n, nil
}

// diagRequest is an inet_diag_req_v2.
func diagRequest(kind, flags int, af uint8, id []byte) []byte {
	var m message
	at := m.head(kind, flags)
	m.b = append(m.b, af, unix.IPPROTO_TCP, 0, 0)
	m.b = binary.NativeEndian.AppendUint32(m.b, anyButListening)
	m.b = append(m.b, id...)
	m.end(at)
	return m.b
}

// diagSocket reads the identity and the peer of an inet_diag_msg.
func diagSocket(b []byte) (id []byte, remote netip.AddrPort, ok bool) {
	if len(b) < diagMessage {
		return nil, remote, false
	}
	id = slices.Clone(b[4 : 4+diagID])
	addr := netip.AddrFrom4([4]byte(id[20:]))
	if b[0] == unix.AF_INET6 {
		addr = netip.AddrFrom16([16]byte(id[20:])).Unmap()
	}
	return id, netip.AddrPortFrom(addr, binary.BigEndian.Uint16(id[2:])), true
}

// probeReset destroys a connection of its own, to see whether the kernel
// does.
func probeReset() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	defer c.Close()
	here := l.Addr().(*net.TCPAddr).AddrPort()
	if _, err := destroy(func(a netip.AddrPort) bool { return a == here }); err != nil {
		return err
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("a destroyed connection goes on: %v", err)
	}
	return nil
}
