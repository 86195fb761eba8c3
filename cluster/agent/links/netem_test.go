package links

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// TestNetem follows the commands of a few changes.
func TestNetem(t *testing.T) {
	n2 := Rule{Peer: "n2", Addrs: []netip.Addr{netip.MustParseAddr("10.1.2.12"), netip.MustParseAddr("fd00::12")}}
	n3 := Rule{Peer: "n3", Addrs: []netip.Addr{netip.MustParseAddr("10.1.2.13")}}
	slow, slower := n2, n2
	slow.Shape = cluster.Shape{Delay: 50 * time.Millisecond}
	slower.Shape = cluster.Shape{Delay: 80 * time.Millisecond, Jitter: 5 * time.Millisecond, Distribution: cluster.Normal}
	n3.Shape = cluster.Shape{Loss: 0.1, Duplicate: 0.02, Corrupt: 0.003, Rate: 1_000_000}
	state := netem{devices: []string{"eth0"}}
	for _, step := range []struct {
		name  string
		rules []Rule
		want  string
	}{
		{"nothing", nil, ""},
		{"delay", []Rule{slow}, `
qdisc replace dev eth0 root handle 1: htb default 1
class add dev eth0 parent 1: classid 1:1 htb rate 100gbit quantum 60000
class add dev eth0 parent 1: classid 1:2 htb rate 100gbit quantum 60000
qdisc add dev eth0 parent 1:2 handle 102: netem limit 200000 delay 50000us
filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.1.2.12/32 flowid 1:2
filter add dev eth0 parent 1: protocol ipv6 prio 2 u32 match ip6 dst fd00::12/128 flowid 1:2`},
		{"the same", []Rule{slow}, ""},
		{"another link", []Rule{slow, n3}, `
class add dev eth0 parent 1: classid 1:3 htb rate 100gbit quantum 60000
qdisc add dev eth0 parent 1:3 handle 103: netem limit 200000 delay 0us loss 10% duplicate 2% corrupt 0.3% rate 1000000bit
filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.1.2.13/32 flowid 1:3`},
		{"changed in place", []Rule{slower, n3}, `
qdisc change dev eth0 parent 1:2 handle 102: netem limit 200000 delay 80000us 5000us distribution normal`},
		{"one healed", []Rule{slower}, `
qdisc change dev eth0 parent 1:3 handle 103: netem limit 200000 delay 0us`},
		{"and again", []Rule{slower, n3}, `
qdisc change dev eth0 parent 1:3 handle 103: netem limit 200000 delay 0us loss 10% duplicate 2% corrupt 0.3% rate 1000000bit`},
		{"healed", nil, `
qdisc del dev eth0 root`},
		{"nothing again", nil, ""},
	} {
		before := len(state.classes)
		next, batch := state.change(step.rules)
		if got := "\n" + strings.Join(batch, "\n"); strings.TrimSpace(got) != strings.TrimSpace(step.want) {
			t.Errorf("%s:%s\nwant:%s", step.name, got, step.want)
		}
		if len(state.classes) != before {
			t.Errorf("%s: what is in force changed before it was", step.name)
		}
		state = next
	}
}

func TestNetemOnAllDevices(t *testing.T) {
	_, batch := netem{devices: []string{"eth0", "eth1"}}.change([]Rule{{Peer: "n2", Addrs: []netip.Addr{netip.MustParseAddr("10.1.2.12")}, Shape: cluster.Shape{Reorder: 0.25, Delay: time.Millisecond}}})
	text := strings.Join(batch, "\n")
	for _, d := range []string{"eth0", "eth1"} {
		if strings.Count(text, "dev "+d+" ") != len(batch)/2 {
			t.Errorf("%s:\n%s", d, text)
		}
	}
	if !strings.Contains(text, "delay 1000us reorder 25%") {
		t.Error(text)
	}
}

// TestMechanisms: which does what, where.
func TestMechanisms(t *testing.T) {
	all := mechanisms{loss: true, queue: true, netem: true}
	delay, loss, disguised := cluster.Shape{Delay: 1}, cluster.Shape{Loss: 0.5}, cluster.Shape{Corrupt: 1, Disguise: true}
	for _, tt := range []struct {
		name string
		m    mechanisms
		r    Rule
		out  bool
		want mechanism
	}{
		{"drop", all, Rule{Cut: cluster.Drop}, false, byNone},
		{"hold", all, Rule{Cut: cluster.Hold}, false, byQueue},
		{"hold at the sender", all, Rule{Cut: cluster.Hold, Shape: delay}, true, byQueue},
		{"loss", all, Rule{Shape: loss}, false, byLoss},
		{"loss at the sender", all, Rule{Shape: loss}, true, byNetem},
		{"loss and delay", all, Rule{Shape: cluster.Shape{Loss: 0.5, Delay: 1}}, false, byQueue},
		{"loss without statistic", mechanisms{queue: true}, Rule{Shape: loss}, false, byQueue},
		{"loss too small for a chain", all, Rule{Shape: cluster.Shape{Loss: 1e-9}}, false, byQueue},
		{"delay", all, Rule{Shape: delay}, true, byNetem},
		{"delay of what comes", all, Rule{Shape: delay}, false, byQueue},
		{"delay without netem", mechanisms{queue: true}, Rule{Shape: delay}, true, byQueue},
		{"disguise", all, Rule{Shape: disguised}, true, byQueue},
	} {
		if got := tt.m.of(tt.r, tt.out); got != tt.want {
			t.Errorf("%s: by %d, want %d", tt.name, got, tt.want)
		}
	}
}

// TestTables is what iptables-restore gets.
func TestTables(t *testing.T) {
	a4, a6, b4 := netip.MustParseAddr("10.1.2.12"), netip.MustParseAddr("fd00::12"), netip.MustParseAddr("10.1.2.13")
	r := Rules{
		In:    []Rule{{Peer: "n2", Addrs: []netip.Addr{a4, a6}, Cut: cluster.Drop}, {Peer: "n3", Addrs: []netip.Addr{b4}, Shape: cluster.Shape{Loss: 0.25}}},
		Out:   []Rule{{Peer: "n3", Addrs: []netip.Addr{b4}, Cut: cluster.Reject}, {Peer: "clients", Addrs: []netip.Addr{a4}, Cut: cluster.Hold}},
		Fence: true, Friends: []netip.Addr{b4},
	}
	ls := lines(r, mechanisms{loss: true, queue: true})
	for _, tt := range []struct {
		table, want string
		v6          bool
	}{
		{"filter", `*filter
:CAPSTAN-IN - [0:0]
:CAPSTAN-OUT - [0:0]
-A CAPSTAN-IN -s 10.1.2.12 -j DROP
-A CAPSTAN-IN -s 10.1.2.13 -j CAPSTAN-LOSS-250000
-A CAPSTAN-OUT -d 10.1.2.13 -j CAPSTAN-REJECT
-A CAPSTAN-OUT -d 10.1.2.13 -j RETURN
-A CAPSTAN-OUT -j CAPSTAN-FENCE
`, false},
		{"mangle", `*mangle
:CAPSTAN-IN - [0:0]
:CAPSTAN-OUT - [0:0]
-A CAPSTAN-OUT -d 10.1.2.12 -j CAPSTAN-QUEUE-OUT
`, false},
		{"filter", `*filter
:CAPSTAN-IN - [0:0]
:CAPSTAN-OUT - [0:0]
-A CAPSTAN-IN -s fd00::12 -j DROP
-A CAPSTAN-OUT -j CAPSTAN-FENCE
`, true},
	} {
		f := families()[0]
		if tt.v6 {
			f = families()[1]
		}
		if got := f.table(tt.table, ls); got != tt.want {
			t.Errorf("%s, IPv6 %t:\n%swant\n%s", tt.table, tt.v6, got, tt.want)
		}
	}
}
