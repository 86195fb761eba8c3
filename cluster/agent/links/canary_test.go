package links

import (
	"net/netip"
	"testing"
	"time"
)

func TestCanary(t *testing.T) {
	want := header{nonce: "abcdefghijklmnopqrstuvwxyz", from: "n1", seq: 7, sent: 123456789}
	b := make([]byte, canarySize)
	encode(b, want)
	if h, intact, ok := decode(b); !ok || !intact || h != want {
		t.Fatalf("%+v, intact %t, ok %t", h, intact, ok)
	}
	for bit := range canarySize * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if h, intact, ok := decode(b); !ok || intact || h != want {
			t.Fatalf("with bit %d flipped: %+v, intact %t, ok %t", bit, h, intact, ok)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for _, b := range [][]byte{nil, b[1:], make([]byte, canarySize)} {
		if _, _, ok := decode(b); ok {
			t.Error("that is no canary")
		}
	}
}

// TestStations let two stations talk over the loopback.
func TestStations(t *testing.T) {
	at := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), 0) }
	a, err := NewStation("a", at("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := NewStation("b", at("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	port := b.conns[0].LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
	a.Send(Flock{Nonce: "x", Targets: b.Addrs(), Count: 50, Millis: 50}, int(port), t.Context().Done())
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		as := b.Seen("x")
		if len(as) == 1 && as[0].Arrived == 50 {
			if q := as[0]; q.From != "a" || q.V6 || q.Duplicates+q.Reordered+q.Corrupted != 0 || q.Min <= 0 || q.P50 < q.Min || q.Max < q.P99 || q.Last-q.First < 40e6 {
				t.Errorf("arrived: %+v", q)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatalf("arrived: %+v", as)
		}
	}
	b.Forget("x")
	if as := b.Seen("x"); len(as) != 0 {
		t.Errorf("after it was forgotten: %+v", as)
	}
}

// TestRecord counts what comes twice, late and broken.
func TestRecord(t *testing.T) {
	r := record{came: map[uint32]bool{}}
	for _, c := range []struct {
		seq    uint32
		intact bool
	}{{0, true}, {2, true}, {1, true}, {2, true}, {3, false}, {3, true}} {
		r.note(c.seq, time.Duration(c.seq), c.intact)
	}
	q := r.quality()
	if q.Arrived != 4 || q.Reordered != 1 || q.Duplicates != 2 || q.Corrupted != 1 || q.Min != 0 || q.Max != 3 {
		t.Errorf("%+v", q)
	}
}
