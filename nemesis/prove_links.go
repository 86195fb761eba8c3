package nemesis

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// proveLinks sends canaries over all links, to see that what is to be cut is,
// and more of them over the links that the fault shapes, to see how.
func (p *prover) proveLinks(ctx context.Context, all Want, first bool) error {
	reach, err := p.b.c.Net.Probe(ctx)
	if err != nil {
		return fmt.Errorf("probe links: %w", err)
	}
	p.judgeReach(reach, all.Links)
	if len(p.own.Links.Shape) > 0 {
		if err := p.measure(ctx, all.Links, first); err != nil {
			return err
		}
	}
	counters, err := p.b.c.Net.Counters(ctx)
	if err != nil {
		return fmt.Errorf("read packet counters: %w", err)
	}
	var packets uint64
	for _, l := range p.t.links {
		packets += counters[l]
		if all.Links.Shape[l].Rate > 0 && all.Links.Cut[l] == cluster.Open && counters[l] == 0 && p.own.Links.Shape[l].Rate > 0 {
			p.doubt("no packet of %s met its rate limit", arrow(l))
		}
	}
	if packets > 0 {
		p.see("%d packets counted by their rules", packets)
	}
	return nil
}

func arrow(l cluster.Link) string { return l.From + "→" + l.To }

// mostLinks bounds what the history tells link by link; of cuts of larger
// clusters it tells the sum.
const mostLinks = 200

// judgeReach compares which canaries arrived with which were to.
func (p *prover) judgeReach(reach cluster.Reach, want cluster.LinkState) {
	links, cut := 0, 0
	for _, l := range p.expected(reach) {
		links++
		arrived, measured := reach[l]
		closed := want.Cut[l] != cluster.Open
		switch {
		case !measured:
			p.doubt("%s was not measured", arrow(l))
		case arrived && closed:
			p.doubt("%s is open and should be cut", arrow(l))
		case !arrived && !closed && !unreliable(want.Shape[l]):
			p.doubt("%s is cut and should be open", arrow(l))
		}
		if closed {
			cut++
		}
		if _, shaped := p.own.Links.Shape[l]; !shaped && len(p.t.links) <= mostLinks && slices.Contains(p.t.links, l) {
			p.links = append(p.links, history.LinkProof{From: l.From, To: l.To, Want: sayLink(want, l), Open: arrived})
		}
	}
	p.see("canaries on all %d links: %d cut, %d open, as intended", links, cut, links-cut)
}

// expected lists the links that canaries must have measured: all between
// nodes, and those of clients that the fault touches or that were measured.
func (p *prover) expected(reach cluster.Reach) []cluster.Link {
	all := cluster.Links(p.b.c.Nodes)
	for _, n := range p.b.c.Nodes {
		for _, l := range []cluster.Link{{From: cluster.Clients, To: n}, {From: n, To: cluster.Clients}} {
			if _, measured := reach[l]; measured || slices.Contains(p.t.links, l) {
				all = append(all, l)
			}
		}
	}
	return all
}

// unreliable tells shapes under which a single canary may rightly be missing.
func unreliable(s cluster.Shape) bool {
	return s.Loss > 0 || s.Corrupt > 0 || s.Rate > 0 || s.Delay+s.Jitter >= 50*time.Millisecond
}

// How many canaries measure a shape.
const (
	fewCanaries  = 50
	mostCanaries = 500
	wantedHits   = 100 // of the rarest thing that is to happen, over all links
	canaryEvery  = 2 * time.Millisecond
)

// measure takes the quality of the links that the fault shapes.
func (p *prover) measure(ctx context.Context, want cluster.LinkState, first bool) error {
	links := slices.SortedFunc(maps.Keys(p.own.Links.Shape), compareLinks)
	links = slices.DeleteFunc(links, func(l cluster.Link) bool { return want.Cut[l] != cluster.Open })
	if len(links) == 0 {
		return nil // all that is to be seen is that they are cut
	}
	count := fewCanaries
	if !first {
		count = canariesFor(links, want)
	}
	qualities, err := p.b.c.Net.Measure(ctx, links, count, time.Duration(count)*canaryEvery)
	if err != nil {
		return fmt.Errorf("measure links: %w", err)
	}
	groups := map[cluster.Shape][]cluster.Link{}
	for _, l := range links {
		q := qualities[l]
		if first {
			shape := want.Shape[l]
			p.base.latency[l] = usualLatency{max(0, q.Min-shape.Delay), max(0, q.P50-shape.Delay)}
		}
		groups[want.Shape[l]] = append(groups[want.Shape[l]], l)
		p.links = append(p.links, history.LinkProof{From: l.From, To: l.To, Want: sayLink(want, l), Open: q.Arrived > 0,
			Sent: q.Sent, Arrived: q.Arrived, Duplicates: q.Duplicates, Reordered: q.Reordered, Corrupted: q.Corrupted,
			P50: q.P50, P99: q.P99})
	}
	for _, l := range links { // in a fixed order, each group once
		shape := want.Shape[l]
		if group := groups[shape]; group[0] == l {
			p.judgeShape(shape, group, qualities)
		}
	}
	return nil
}

// canariesFor is how many canaries a link needs.
func canariesFor(links []cluster.Link, want cluster.LinkState) int {
	count := fewCanaries
	for _, l := range links {
		s := want.Shape[l]
		for _, chance := range []float64{s.Loss, s.Duplicate, s.Reorder, s.Corrupt} {
			if chance > 0 {
				count = max(count, int(wantedHits/chance)/len(links)+1)
			}
		}
	}
	return min(count, mostCanaries)
}

// judgeShape compares what was measured on links of one shape with the shape:
// latencies link by link, what happens by chance over all of them.
func (p *prover) judgeShape(s cluster.Shape, links []cluster.Link, qualities map[cluster.Link]cluster.Quality) {
	var sum cluster.Quality
	var p50s, p99s, bases []time.Duration
	for _, l := range links {
		q := qualities[l]
		sum.Sent += q.Sent
		sum.Arrived += q.Arrived
		sum.Duplicates += q.Duplicates
		sum.Reordered += q.Reordered
		sum.Corrupted += q.Corrupted
		p50s, p99s, bases = append(p50s, q.P50), append(p99s, q.P99), append(bases, p.base.latency[l].median)
		if why := latencyDoubt(s, p.base.latency[l], p.own.Links.Shape[l].Delay, q); why != "" && q.Arrived > 0 {
			p.doubt("%s: %s", arrow(l), why)
			if q.P50 > p.base.latency[l].median+s.Delay {
				p.slow++
			}
		}
	}
	p.judgeChances(s, sum)
	by := ""
	if m, ok := p.b.c.Net.(cluster.Mechanism); ok && s != (cluster.Shape{}) {
		by = " by " + m.Mechanism(links[0], s)
	}
	p.see("%s on %d links%s: achieved p50 %v, p99 %v (p50 %v before), %s", sayShape(s), len(links), by,
		middle(p50s), slices.Max(p99s).Round(time.Microsecond), middle(bases), sayChances(s, sum))
}

// judgeChances compares counts with probabilities.
func (p *prover) judgeChances(s cluster.Shape, q cluster.Quality) {
	lost, missing := s.Loss, q.Sent-q.Arrived
	if s.Corrupt > 0 && !s.Disguise { // the receiver's checksum drops them
		lost, missing = either(lost, s.Corrupt), missing+q.Corrupted
	}
	check := func(what string, hits, of int, chance float64) {
		if why := chanceDoubt(hits, of, chance); why != "" {
			p.doubt("%s: %s", what, why)
		}
	}
	check("loss", missing, q.Sent, lost)
	check("duplicates", q.Duplicates, q.Arrived, s.Duplicate)
	if s.Disguise {
		check("corruption", q.Corrupted, q.Arrived, s.Corrupt)
	}
	if s.Reorder > 0 && q.Reordered == 0 {
		p.doubt("reordering: none of %d canaries overtook another", q.Arrived)
	}
}

// chanceDoubt says why a count does not fit a probability; the odds of a false
// alarm are below one in 100,000. What is not to happen may, rarely.
func chanceDoubt(hits, of int, chance float64) string {
	mean := chance * float64(of)
	spread := 4.5*math.Sqrt(mean*(1-chance)) + 1
	if chance == 0 {
		mean, spread = 0, max(2, float64(of)/100)
	}
	if off := math.Abs(float64(hits) - mean); off > spread || chance > 0 && hits == 0 {
		return fmt.Sprintf("%d of %d, should be %s", hits, of, percent(chance))
	}
	return ""
}

// latencyDoubt says why a median does not fit a delay. removed is the delay
// that the fault itself adds while it is in force, to tell that it is gone.
func latencyDoubt(s cluster.Shape, base usualLatency, removed time.Duration, q cluster.Quality) string {
	want := base.median + s.Delay
	tolerance := 2*time.Millisecond + s.Delay/10
	if q.Arrived > 0 {
		tolerance += time.Duration(5 * float64(s.Jitter) / math.Sqrt(float64(q.Arrived)))
	}
	low, high := base.least+s.Delay-tolerance, want+tolerance+5*time.Millisecond
	switch {
	case s.Rate > 0:
		high = math.MaxInt64 // what waits behind the traffic takes its time
	case s.Distribution == cluster.Pareto:
		high += 10 * s.Jitter
	case s.Delay == 0 && removed > 0:
		high = want + removed/2 + 2*time.Millisecond
	}
	if s.Delay == 0 || s.Reorder >= 0.4 {
		low = 0
	}
	switch {
	case q.P50 < low || q.P50 > high:
		return fmt.Sprintf("p50 is %v, should be about %v", q.P50.Round(time.Microsecond), want.Round(time.Microsecond))
	case s.Jitter >= 2*time.Millisecond && q.Arrived >= 20 && q.Max-q.Min < s.Jitter/2:
		return fmt.Sprintf("latencies spread over %v only, the jitter should be %v", q.Max-q.Min, s.Jitter)
	}
	return ""
}

func middle(ds []time.Duration) time.Duration {
	ds = slices.Sorted(slices.Values(ds))
	return ds[len(ds)/2].Round(time.Microsecond)
}

func sayChances(s cluster.Shape, q cluster.Quality) string {
	parts := []string{fmt.Sprintf("%d of %d canaries lost", q.Sent-q.Arrived, q.Sent)}
	if s.Loss > 0 && q.Sent > 0 {
		parts[0] += fmt.Sprintf(" (%s)", percent(float64(q.Sent-q.Arrived)/float64(q.Sent)))
	}
	for _, c := range []struct {
		what string
		n    int
	}{{"duplicated", q.Duplicates}, {"reordered", q.Reordered}, {"corrupted", q.Corrupted}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

func percent(p float64) string {
	return strconv.FormatFloat(math.Round(p*1e4)/100, 'f', -1, 64) + " %"
}

// sayLink says what is wanted of a link.
func sayLink(want cluster.LinkState, l cluster.Link) string {
	switch want.Cut[l] {
	case cluster.Drop:
		return "drop"
	case cluster.Hold:
		return "hold"
	case cluster.Reject:
		return "reject"
	}
	return sayShape(want.Shape[l])
}

func sayShape(s cluster.Shape) string {
	var parts []string
	if s.Delay > 0 || s.Jitter > 0 {
		d := fmt.Sprintf("delay %v", s.Delay)
		if s.Jitter > 0 {
			d += fmt.Sprintf(" ± %v", s.Jitter)
			if s.Distribution != "" && s.Distribution != cluster.Uniform {
				d += " " + string(s.Distribution)
			}
		}
		parts = append(parts, d)
	}
	for _, c := range []struct {
		what   string
		chance float64
	}{{"loss", s.Loss}, {"duplicate", s.Duplicate}, {"reorder", s.Reorder}, {"corrupt", s.Corrupt}} {
		if c.chance > 0 {
			parts = append(parts, c.what+" "+percent(c.chance))
		}
	}
	if s.Rate > 0 {
		parts = append(parts, "rate "+formatRate(s.Rate))
	}
	if len(parts) == 0 {
		return "open"
	}
	return strings.Join(parts, ", ")
}
