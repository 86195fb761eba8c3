package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// message builds netlink messages, one behind the other.
type message struct{ b []byte }

// begin starts a message of netfilter's; the result is for end.
func (m *message) begin(subsystem, kind, flags int, af uint8, resource uint16) int {
	at := m.head(subsystem<<8|kind, flags)
	m.b = append(m.b, af, 0)
	m.b = binary.BigEndian.AppendUint16(m.b, resource)
	return at
}

// head starts any message.
func (m *message) head(kind, flags int) int {
	at := len(m.b)
	m.b = append(m.b, make([]byte, unix.SizeofNlMsghdr)...)
	binary.NativeEndian.PutUint16(m.b[at+4:], uint16(kind))
	binary.NativeEndian.PutUint16(m.b[at+6:], uint16(flags|unix.NLM_F_REQUEST))
	return at
}

func (m *message) end(at int) { binary.NativeEndian.PutUint32(m.b[at:], uint32(len(m.b)-at)) }

// attr adds an attribute with a value.
func (m *message) attr(kind int, value []byte) {
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(4+len(value)))
	m.b = binary.NativeEndian.AppendUint16(m.b, uint16(kind))
	m.b = append(m.b, value...)
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}

func (m *message) text(kind int, s string) { m.attr(kind, append([]byte(s), 0)) }

func (m *message) uint32(kind int, v uint32) { m.attr(kind, binary.BigEndian.AppendUint32(nil, v)) }

// nest adds an attribute that holds those that f adds.
func (m *message) nest(kind int, f func()) {
	at := len(m.b)
	m.b = append(m.b, 0, 0, 0, 0)
	binary.NativeEndian.PutUint16(m.b[at+2:], uint16(kind|unix.NLA_F_NESTED))
	f()
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
}

// socket is a netlink socket.
type socket struct{ fd int }

func openSocket(protocol int) (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	s := &socket{fd}
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	if err != nil {
		s.close()
		return nil, fmt.Errorf("prepare netlink socket: %w", err)
	}
	return s, nil
}

func (s *socket) close() { unix.Close(s.fd) }

func (s *socket) send(b []byte) error {
	return os.NewSyscallError("sendto", unix.Sendto(s.fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}))
}

// ask sends one request and hands all messages of the answer to f, until the
// kernel says that it is done. An error that it answers is a syscall.Errno.
func (s *socket) ask(b []byte, f func(kind uint16, payload []byte)) error {
	if err := s.send(b); err != nil {
		return err
	}
	return s.answers(1, f)
}

// answers reads until that many requests were acknowledged, or one failed.
func (s *socket) answers(acks int, f func(kind uint16, payload []byte)) error {
	buf := make([]byte, 1<<17)
	for start := time.Now(); acks > 0; {
		n, _, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.EINTR) && time.Since(start) < patience {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		err = split(buf[:n], func(kind uint16, payload []byte) error {
			switch kind {
			case unix.NLMSG_DONE:
				acks--
			case unix.NLMSG_ERROR:
				acks--
				if len(payload) >= 4 {
					if code := int32(binary.NativeEndian.Uint32(payload)); code != 0 {
						return unix.Errno(-code)
					}
				}
			default:
				if f != nil {
					f(kind, payload)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// split hands each message of a datagram to f.
func split(b []byte, f func(kind uint16, payload []byte) error) error {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return errors.New("netlink: message is cut off")
		}
		if err := f(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:n]); err != nil {
			return err
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// attributes hands each attribute to f.
func attributes(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), slices.Clip(b[4:n]))
		b = b[min((n+3)&^3, len(b)):]
	}
}
