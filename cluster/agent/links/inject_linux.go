package links

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// injector sends whole IP packets, past our queues.
type injector struct{ v4, v6 int }

func newInjector() (*injector, error) {
	i := &injector{-1, -1}
	var err error
	if i.v4, err = rawSocket(unix.AF_INET); err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	// Without IPv6 there is nothing to send over it.
	i.v6, _ = rawSocket(unix.AF_INET6)
	return i, nil
}

func rawSocket(af int) (int, error) {
	fd, err := unix.Socket(af, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, queueMark); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("setsockopt", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, queueBuffer)
	return fd, nil
}

// send sends one. What cannot be sent is lost, as on a network.
func (i *injector) send(p []byte) {
	_, dst, ok := ends(p)
	if !ok {
		return
	}
	if dst.Is4() {
		_ = unix.Sendto(i.v4, p, 0, &unix.SockaddrInet4{Addr: dst.As4()})
		return
	}
	_ = unix.Sendto(i.v6, p, 0, &unix.SockaddrInet6{Addr: dst.As16(), ZoneId: zone(dst)})
}

// zone is the interface of a link-local address; a node has but one, as a
// rule.
func zone(a netip.Addr) uint32 {
	if !a.IsLinkLocalUnicast() {
		return 0
	}
	ifs, err := net.Interfaces()
	if err != nil {
		return 0
	}
	for _, i := range ifs {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagUp != 0 {
			return uint32(i.Index)
		}
	}
	return 0
}
