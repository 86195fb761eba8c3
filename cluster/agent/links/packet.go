package links

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// ends are the addresses of an IP packet; ok is false if it is none.
func ends(p []byte) (src, dst netip.Addr, ok bool) {
	if len(p) < 20 {
		return src, dst, false
	}
	switch p[0] >> 4 {
	case 4:
		return netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:])), true
	case 6:
		if len(p) < 40 {
			return src, dst, false
		}
		return netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:])), true
	}
	return src, dst, false
}

// Protocol numbers.
const (
	protoTCP  = 6
	protoUDP  = 17
	protoICMP = 1
	proto6    = 58 // ICMPv6
)

// transport is where the transport's header begins, and its protocol; 0 for
// fragments, whose rest is not there.
func transport(p []byte) (at int, proto byte) {
	if p[0]>>4 == 4 {
		at = int(p[0]&15) * 4
		if binary.BigEndian.Uint16(p[6:])&0x3fff != 0 || at > len(p) {
			return 0, 0
		}
		return at, p[9]
	}
	return 40, p[6] // extension headers count as an unknown protocol
}

// payload is where the application's bytes begin; 0 if that is not known.
func payload(p []byte) int {
	at, proto := transport(p)
	switch {
	case proto == protoUDP, proto == protoICMP, proto == proto6:
		at += 8
	case proto == protoTCP && len(p) >= at+20:
		at += int(p[at+12]>>4) * 4
	default:
		return 0
	}
	return at
}

// corrupt flips one bit of the application's bytes. It returns false if there
// are none.
func corrupt(p []byte, rng *rand.Rand) bool {
	at := payload(p)
	if at == 0 || at >= len(p) {
		return false
	}
	bit := rng.IntN((len(p) - at) * 8)
	p[at+bit/8] ^= 1 << (bit % 8)
	return true
}

// repair makes the transport's checksum right.
func repair(p []byte) {
	at, proto := transport(p)
	field := map[byte]int{protoTCP: 16, protoUDP: 6, protoICMP: 2, proto6: 2}[proto]
	if field == 0 || len(p) < at+field+2 {
		return
	}
	if proto == protoUDP && p[0]>>4 == 4 && p[at+field] == 0 && p[at+field+1] == 0 {
		return // none is sent
	}
	p[at+field], p[at+field+1] = 0, 0
	sum := add(0, p[at:])
	if proto != protoICMP {
		addrs := p[12:20]
		if p[0]>>4 == 6 {
			addrs = p[8:40]
		}
		sum = add(sum, addrs) + uint64(proto) + uint64(len(p)-at)
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	check := ^uint16(sum)
	if check == 0 && proto == protoUDP {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(p[at+field:], check)
}

// add sums big-endian 16-bit words.
func add(sum uint64, b []byte) uint64 {
	for len(b) >= 2 {
		sum += uint64(binary.BigEndian.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint64(b[0]) << 8
	}
	return sum
}
