package links

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// netem writes what `tc -batch` needs to shape what is sent to some peers,
// each in a class of its own, and nothing else: the rest passes a class that
// does not limit it. Classes are never taken away while others are in use, so
// that a change does not touch the packets that wait elsewhere.
type netem struct {
	devices []string
	// classes are by peer, and never given to another; nil without a root.
	classes map[string]class
}

type class struct {
	number int
	shape  cluster.Shape
}

// plain is a rate beyond all that a virtual network does.
const plain = "100gbit"

// change is the batch that leads to the given rules, and what is then.
func (n netem) change(rules []Rule) (next netem, batch []string) {
	next = netem{devices: n.devices}
	if len(rules) == 0 && n.classes == nil {
		return next, nil
	}
	add := func(format string, args ...any) {
		for _, d := range n.devices {
			batch = append(batch, strings.ReplaceAll(fmt.Sprintf(format, args...), "DEV", d))
		}
	}
	if len(rules) == 0 {
		add("qdisc del dev DEV root")
		return next, batch
	}
	next.classes = maps.Clone(n.classes)
	if n.classes == nil {
		next.classes = map[string]class{}
		add("qdisc replace dev DEV root handle 1: htb default 1")
		add("class add dev DEV parent 1: classid 1:1 htb rate %s quantum 60000", plain)
	}
	want := map[string]cluster.Shape{}
	for _, r := range rules {
		want[r.Peer] = r.Shape
		if _, ok := next.classes[r.Peer]; ok {
			continue
		}
		c := class{number: len(next.classes) + 2, shape: r.Shape}
		next.classes[r.Peer] = c
		add("class add dev DEV parent 1: classid 1:%x htb rate %s quantum 60000", c.number, plain)
		add("qdisc add dev DEV %s", c.leaf())
		for _, a := range r.Addrs {
			add("%s", filter(a, c.number))
		}
	}
	for _, peer := range slices.Sorted(maps.Keys(next.classes)) {
		if c := next.classes[peer]; c.shape != want[peer] {
			c.shape = want[peer]
			next.classes[peer] = c
			add("qdisc change dev DEV %s", c.leaf())
		}
	}
	return next, batch
}

// leaf is the netem of a class.
func (c class) leaf() string {
	return fmt.Sprintf("parent 1:%x handle %x: netem %s", c.number, c.number+0x100, shapeArgs(c.shape))
}

// filter leads what is sent to an address to a class.
func filter(a netip.Addr, number int) string {
	protocol, match, priority := "ip", "ip", 1
	if a.Is6() {
		protocol, match, priority = "ipv6", "ip6", 2
	}
	return fmt.Sprintf("filter add dev DEV parent 1: protocol %s prio %d u32 match %s dst %s/%d flowid 1:%x",
		protocol, priority, match, a, a.BitLen(), number)
}

// shapeArgs are netem's own words for a shape.
func shapeArgs(s cluster.Shape) string {
	b := "limit 200000 delay " + micros(s.Delay)
	if s.Jitter > 0 {
		b += " " + micros(s.Jitter)
		switch s.Distribution {
		case cluster.Normal, cluster.Pareto:
			b += " distribution " + string(s.Distribution)
		}
	}
	for _, p := range []struct {
		word  string
		share float64
	}{{"loss", s.Loss}, {"duplicate", s.Duplicate}, {"corrupt", s.Corrupt}, {"reorder", s.Reorder}} {
		if p.share > 0 {
			b += fmt.Sprintf(" %s %s%%", p.word, strconv.FormatFloat(p.share*100, 'f', -1, 64))
		}
	}
	if s.Rate > 0 {
		b += fmt.Sprintf(" rate %dbit", s.Rate)
	}
	return b
}

func micros(d time.Duration) string { return fmt.Sprintf("%dus", d.Microseconds()) }
