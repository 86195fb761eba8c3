package cassandra

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster/docker"
	"github.com/capstan-dev/capstan/targets"
)

// replicas is how many nodes of a datacenter hold each row, where there are as
// many.
const replicas = 3

// ring is where the nodes are.
type ring struct {
	names []string
	// dcs maps datacenters to their nodes, in order.
	dcs map[string][]string
}

func newRing(spec targets.Spec) ring {
	r := ring{dcs: map[string][]string{}}
	for i, n := range docker.Bare(spec.Nodes) {
		dc := "dc1"
		if spec.Topology == "dcs" && i >= (spec.Nodes+1)/2 {
			dc = "dc2"
		}
		r.names = append(r.names, n.Name)
		r.dcs[dc] = append(r.dcs[dc], n.Name)
	}
	return r
}

func (r ring) dc(node string) string {
	for dc, names := range r.dcs {
		if slices.Contains(names, node) {
			return dc
		}
	}
	return ""
}

// roles are the datacenters, where there are several.
func (r ring) roles() map[string]string {
	if len(r.dcs) == 1 {
		return nil
	}
	roles := map[string]string{}
	for _, n := range r.names {
		roles[n] = r.dc(n)
	}
	return roles
}

// token divides the ring evenly among the nodes of a datacenter; those of
// another one stand a step beside.
func (r ring) token(node string) string {
	dc := r.dc(node)
	names := r.dcs[dc]
	t := new(big.Int).Lsh(big.NewInt(int64(slices.Index(names, node))), 64)
	t.Div(t, big.NewInt(int64(len(names))))
	t.Sub(t, new(big.Int).Lsh(big.NewInt(1), 63))
	if dc != "dc1" {
		t.Add(t, big.NewInt(1000))
	}
	return t.Add(t, big.NewInt(1)).String()
}

func (r ring) rack(node string) []byte {
	return fmt.Appendf(nil, "dc=%s\nrack=rack1\n", r.dc(node))
}

// replication is the option of a keyspace with up to that many replicas in
// each datacenter.
func (r ring) replication(most int) string {
	parts := []string{"'class': 'NetworkTopologyStrategy'"}
	for _, dc := range slices.Sorted(maps.Keys(r.dcs)) {
		parts = append(parts, fmt.Sprintf("'%s': %d", dc, min(most, len(r.dcs[dc]))))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// overlap says whether the replicas that a read and a write wait for have one
// in common, wherever the two are made.
func (r ring) overlap(read, write string) bool {
	for _, from := range slices.Sorted(maps.Keys(r.dcs)) {
		for _, to := range slices.Sorted(maps.Keys(r.dcs)) {
			if !r.meet(r.waits(read, from), r.waits(write, to)) {
				return false
			}
		}
	}
	return true
}

// need is how many replicas a request waits for: of all, and in each
// datacenter at least.
type need struct {
	total int
	of    map[string]int
}

func (r ring) copies(dc string) int { return min(replicas, len(r.dcs[dc])) }

func (r ring) waits(level, dc string) need {
	all, of := 0, map[string]int{}
	for d := range r.dcs {
		all += r.copies(d)
	}
	switch level {
	case "ONE":
		return need{1, of}
	case "TWO":
		return need{2, of}
	case "QUORUM", serial:
		return need{all/2 + 1, of}
	case "LOCAL_ONE":
		return need{1, map[string]int{dc: 1}}
	case "LOCAL_QUORUM", localSerial:
		n := r.copies(dc)/2 + 1
		return need{n, map[string]int{dc: n}}
	case "EACH_QUORUM":
		total := 0
		for d := range r.dcs {
			of[d] = r.copies(d)/2 + 1
			total += of[d]
		}
		return need{total, of}
	case "ALL":
		for d := range r.dcs {
			of[d] = r.copies(d)
		}
		return need{all, of}
	}
	return need{} // ANY waits for no replica at all
}

// meet: they have a replica in common if there are fewer than they want, of all
// or in one datacenter.
func (r ring) meet(a, b need) bool {
	all := 0
	for d := range r.dcs {
		n := r.copies(d)
		if all += n; a.of[d]+b.of[d] > n {
			return true
		}
	}
	return a.total+b.total > all
}
