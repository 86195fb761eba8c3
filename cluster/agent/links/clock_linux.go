package links

import (
	"net"

	"golang.org/x/sys/unix"
)

// Clock is CLOCK_MONOTONIC in nanoseconds, which all processes of a host share,
// in containers or not.
func Clock() int64 {
	var ts unix.Timespec
	// It cannot fail: the clock is one that every kernel has.
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// enlarge gives a socket room for a large flock. With less, some of its
// canaries are lost, which shows.
func enlarge(c *net.UDPConn) {
	const size = 8 << 20
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size)
		}
	})
}
