package links

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// canarySize is the payload of one: small enough for every network, large
// enough for a flipped bit to hit its pattern, as a rule.
const canarySize = 512

// keptNonces is how many flocks a station remembers.
const keptNonces = 256

// Station sends canaries and counts those that arrive. It may be used from any
// goroutine.
type Station struct {
	name  string
	conns []*net.UDPConn

	mu     sync.Mutex
	seen   map[string]map[origin]*record
	nonces []string
}

type origin struct {
	from string
	v6   bool
}

// record is what came from one sender.
type record struct {
	first, last                      int64
	latencies                        []time.Duration
	came                             map[uint32]bool
	next                             uint32
	duplicates, reordered, corrupted int
}

// NewStation opens the sockets at the given addresses. There must be one, at
// least; of several those that cannot be opened are left out.
func NewStation(name string, at ...netip.AddrPort) (*Station, error) {
	s := &Station{name: name, seen: map[string]map[origin]*record{}}
	var err error
	for _, a := range at {
		network := "udp4"
		if a.Addr().Is6() {
			network = "udp6"
		}
		c, e := net.ListenUDP(network, net.UDPAddrFromAddrPort(a))
		if e != nil {
			err = e
			continue
		}
		enlarge(c)
		s.conns = append(s.conns, c)
		go s.listen(c, a.Addr().Is6())
	}
	if len(s.conns) == 0 {
		return nil, fmt.Errorf("open canary socket: %w", err)
	}
	return s, nil
}

// Addrs are those at which it listens.
func (s *Station) Addrs() (all []netip.Addr) {
	for _, c := range s.conns {
		all = append(all, address(c))
	}
	return all
}

func address(c *net.UDPConn) netip.Addr {
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}

// conn is the socket whose address is the nearest to a target's.
func (s *Station) conn(to netip.Addr) (best *net.UDPConn) {
	bits := -1
	for _, c := range s.conns {
		a := address(c)
		if a.BitLen() != to.BitLen() {
			continue
		}
		if n := common(a.AsSlice(), to.AsSlice()); n > bits {
			best, bits = c, n
		}
	}
	return best
}

// common is the number of leading bytes that are the same.
func common(a, b []byte) (n int) {
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}

// Close ends the station.
func (s *Station) Close() {
	for _, c := range s.conns {
		c.Close()
	}
}

// Send sends a flock. What cannot be sent counts as lost: that is what it is
// for the receiver.
func (s *Station) Send(f Flock, port int, done <-chan struct{}) {
	count := max(f.Count, 1)
	start := time.Now()
	msg := make([]byte, canarySize)
	for i := range count {
		due := time.Duration(i) * time.Duration(f.Millis) * time.Millisecond / time.Duration(count)
		if wait := due - time.Since(start); wait > 0 {
			select {
			case <-time.After(wait):
			case <-done:
				return
			}
		}
		for _, to := range f.Targets {
			if c := s.conn(to); c != nil {
				encode(msg, header{f.Nonce, s.name, uint32(i), Clock()})
				_, _ = c.WriteToUDPAddrPort(msg, netip.AddrPortFrom(to, uint16(port)))
			}
		}
	}
}

func (s *Station) listen(c *net.UDPConn, v6 bool) {
	buf := make([]byte, 2048)
	for {
		n, _, err := c.ReadFromUDPAddrPort(buf)
		at := Clock()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // an ICMP error that a rejected canary left
		}
		if h, intact, ok := decode(buf[:n]); ok {
			s.note(h, v6, at, intact)
		}
	}
}

func (s *Station) note(h header, v6 bool, at int64, intact bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	flock := s.seen[h.nonce]
	if flock == nil {
		flock = map[origin]*record{}
		s.seen[h.nonce] = flock
		s.nonces = append(s.nonces, h.nonce)
		if len(s.nonces) > keptNonces {
			delete(s.seen, s.nonces[0])
			s.nonces = s.nonces[1:]
		}
	}
	r := flock[origin{h.from, v6}]
	if r == nil {
		r = &record{came: map[uint32]bool{}, first: at}
		flock[origin{h.from, v6}] = r
	}
	r.last = at
	r.note(h.seq, time.Duration(at-h.sent), intact)
}

func (r *record) note(seq uint32, latency time.Duration, intact bool) {
	if !intact {
		r.corrupted++
	}
	if r.came[seq] {
		r.duplicates++
		return
	}
	r.came[seq] = true
	if seq < r.next {
		r.reordered++
	}
	r.next = max(r.next, seq+1)
	r.latencies = append(r.latencies, latency)
}

// Seen is what arrived of a flock until now.
func (s *Station) Seen(nonce string) []Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Arrival{}
	for o, r := range s.seen[nonce] {
		all = append(all, Arrival{From: o.from, V6: o.v6, First: r.first, Last: r.last, Quality: r.quality()})
	}
	return all
}

// Forget lets go of a flock.
func (s *Station) Forget(nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, nonce)
	s.nonces = slices.DeleteFunc(s.nonces, func(n string) bool { return n == nonce })
}

func (r *record) quality() cluster.Quality {
	q := cluster.Quality{Arrived: len(r.latencies), Duplicates: r.duplicates, Reordered: r.reordered, Corrupted: r.corrupted}
	ds := slices.Sorted(slices.Values(r.latencies))
	if len(ds) > 0 {
		q.Min, q.P50, q.P99, q.Max = ds[0], rank(ds, 0.5), rank(ds, 0.99), ds[len(ds)-1]
	}
	return q
}

// rank is the smallest value that at least a share p of all do not exceed.
func rank(sorted []time.Duration, p float64) time.Duration {
	return sorted[max(int(math.Ceil(p*float64(len(sorted))))-1, 0)]
}

// header is what a canary carries. It is there twice, with a checksum each: a
// canary with one flipped bit can still be told where it belongs.
type header struct {
	nonce, from string
	seq         uint32
	sent        int64
}

const (
	magic      = "capstan\x01"
	headerSize = 128
	textSize   = 40
)

// encode lays a header, a pattern and the header again into one packet.
func encode(b []byte, h header) {
	clear(b[:headerSize])
	copy(b, magic)
	copy(b[8:8+textSize], h.nonce)
	copy(b[48:48+textSize], h.from)
	binary.BigEndian.PutUint32(b[88:], h.seq)
	binary.BigEndian.PutUint64(b[92:], uint64(h.sent))
	binary.BigEndian.PutUint32(b[headerSize-4:], crc32.ChecksumIEEE(b[:headerSize-4]))
	for i := headerSize; i < canarySize-headerSize; i++ {
		b[i] = byte(i)
	}
	copy(b[canarySize-headerSize:], b[:headerSize])
}

// decode reads a canary, and whether it is as it was sent. ok is false if it
// is none, or beyond recognition.
func decode(b []byte) (h header, intact, ok bool) {
	if len(b) != canarySize {
		return header{}, false, false
	}
	for _, part := range [][]byte{b[:headerSize], b[canarySize-headerSize:]} {
		if string(part[:8]) != magic || binary.BigEndian.Uint32(part[headerSize-4:]) != crc32.ChecksumIEEE(part[:headerSize-4]) {
			continue
		}
		h = header{text(part[8 : 8+textSize]), text(part[48 : 48+textSize]), binary.BigEndian.Uint32(part[88:]), int64(binary.BigEndian.Uint64(part[92:]))}
		var sent [canarySize]byte
		encode(sent[:], h)
		return h, bytes.Equal(sent[:], b), true
	}
	return header{}, false, false
}

// text is what comes before the padding.
func text(b []byte) string {
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
