package links

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// build makes a packet with right checksums by the slow way of RFC 1071.
func build(v6 bool, proto byte, body []byte) []byte {
	field, head := map[byte]int{protoTCP: 16, protoUDP: 6, protoICMP: 2, proto6: 2}[proto], map[byte]int{protoTCP: 20, protoUDP: 8, protoICMP: 8, proto6: 8}[proto]
	segment := append(make([]byte, head), body...)
	for i := range head {
		segment[i] = byte(7 * i)
	}
	switch proto {
	case protoTCP:
		segment[12] = 5 << 4
	case protoUDP:
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
	}
	segment[field], segment[field+1] = 0, 0
	var ip []byte
	if v6 {
		ip = append([]byte{0x60, 0, 0, 0, 0, byte(len(segment)), proto, 64}, bytes.Repeat([]byte{0xfd, 1, 2, 3}, 8)...)
	} else {
		ip = []byte{0x45, 0, 0, byte(20 + len(segment)), 0, 1, 0x40, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	}
	pseudo := []byte{}
	if proto != protoICMP {
		pseudo = append(slices.Clone(ip[12:20]), 0, proto, 0, byte(len(segment)))
		if v6 {
			pseudo = append(slices.Clone(ip[8:40]), 0, 0, 0, byte(len(segment)), 0, 0, 0, proto)
		}
	}
	all := append(pseudo, segment...)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	var sum uint32
	for i := 0; i < len(all); i += 2 {
		sum += uint32(all[i])<<8 | uint32(all[i+1])
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(segment[field:], ^uint16(sum))
	return append(ip, segment...)
}

func kinds() map[string][]byte {
	ps := map[string][]byte{}
	for name, v := range map[string]struct {
		v6    bool
		proto byte
	}{"TCP4": {false, protoTCP}, "UDP4": {false, protoUDP}, "ICMP4": {false, protoICMP}, "TCP6": {true, protoTCP}, "UDP6": {true, protoUDP}, "ICMP6": {true, proto6}} {
		ps[name] = build(v.v6, v.proto, []byte("an odd number of bytes"[:21]))
	}
	return ps
}

func TestRepair(t *testing.T) {
	ps := kinds()
	for name, p := range ps {
		got := slices.Clone(p)
		at, proto := transport(got)
		field := at + map[byte]int{protoTCP: 16, protoUDP: 6, protoICMP: 2, proto6: 2}[proto]
		got[field] ^= 0xff
		repair(got)
		if !bytes.Equal(got, p) {
			t.Errorf("%s: repaired to\n%x, was\n%x", name, got, p)
		}
	}
}

func TestRepairLeavesWhatItDoesNotKnow(t *testing.T) {
	fragment := build(false, protoUDP, []byte("x"))
	fragment[6] = 0x20 // more of it follows
	absent := build(false, protoUDP, []byte("x"))
	absent[26], absent[27] = 0, 0 // UDP's sign of no checksum
	for name, p := range map[string][]byte{
		"fragment": fragment, "no checksum": absent, "short": build(false, protoTCP, nil)[:30], "other protocol": build(false, protoUDP, nil)[:20],
	} {
		if name == "other protocol" {
			p[9] = 132
		}
		got := slices.Clone(p)
		repair(got)
		if !bytes.Equal(got, p) {
			t.Errorf("%s: became %x", name, got)
		}
	}
}

// TestCorrupt flips one bit, and only of what the application sent.
func TestCorrupt(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, p := range kinds() {
		from := len(p) - 21
		hit := map[int]bool{}
		for range 2000 {
			got := slices.Clone(p)
			if !corrupt(got, rng) {
				t.Fatalf("%s: nothing to corrupt", name)
			}
			flipped := 0
			for i := range got {
				if d := got[i] ^ p[i]; d != 0 {
					flipped += bits.OnesCount8(d)
					hit[i] = true
					if i < from {
						t.Fatalf("%s: byte %d of the header is corrupted", name, i)
					}
				}
			}
			if flipped != 1 {
				t.Fatalf("%s: %d bits are flipped", name, flipped)
			}
		}
		if len(hit) != 21 {
			t.Errorf("%s: %d of 21 bytes were ever hit", name, len(hit))
		}
	}
	if p := build(false, protoTCP, nil); corrupt(p, rng) {
		t.Error("an acknowledgement without data was corrupted")
	}
}

func TestEnds(t *testing.T) {
	src, dst, ok := ends(build(false, protoUDP, nil))
	if !ok || src.String() != "10.0.0.1" || dst.String() != "10.0.0.2" {
		t.Errorf("%v to %v, %t", src, dst, ok)
	}
	if src, _, ok = ends(build(true, protoUDP, nil)); !ok || !src.Is6() {
		t.Errorf("from %v, %t", src, ok)
	}
	for _, p := range [][]byte{nil, make([]byte, 40), build(true, protoUDP, nil)[:39]} {
		if _, _, ok := ends(p); ok {
			t.Errorf("%x is no packet", p)
		}
	}
}

func FuzzPacket(f *testing.F) {
	for _, p := range kinds() {
		f.Add(p)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	f.Fuzz(func(_ *testing.T, p []byte) {
		if _, _, ok := ends(p); ok {
			repair(p)
			corrupt(p, rng)
		}
	})
}
