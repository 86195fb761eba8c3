package nemesis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// reading is what was measured of the areas that a fault touches, against
// what all faults together want of them.
type reading struct {
	wrong []string // what speaks against it
	seen  []string
	links []history.LinkProof
	// idle counts the nodes that could not be asked, as another fault keeps
	// their server from running.
	idle int
	// slow counts the links that took longer than they should: as a loaded
	// machine makes them, too.
	slow int
}

func (r *reading) doubt(format string, args ...any) {
	r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
}

func (r *reading) see(format string, args ...any) {
	r.seen = append(r.seen, fmt.Sprintf(format, args...))
}

func (r *reading) proven() bool { return len(r.wrong) == 0 }

// words are what is wrong, or what was seen if nothing is.
func (r *reading) words() string {
	if !r.proven() {
		return strings.Join(r.wrong, ", ")
	}
	return strings.Join(r.seen, ", ")
}

// baseline is what a fault found before its injection.
type baseline struct {
	latency map[cluster.Link]usualLatency
	disks   map[string]cluster.DiskReport
}

// usualLatency is that of a link as it comes: the least one, which load does not
// change, and the median.
type usualLatency struct{ least, median time.Duration }

// prover measures what one fault touches.
type prover struct {
	b    *Board
	t    touched
	base *baseline
	// own is what the fault wanted at first, to know what is to be measured,
	// and how exactly.
	own Want
	reading
}

// asked asks a running server something. That of a node which another fault has
// stopped answers nothing, and suffers nothing either; one that is just being
// stopped or started is asked again.
func (p *prover) asked(ctx context.Context, node string, ask func() error) (bool, error) {
	var err error
	for range askTries {
		if fate := p.b.Want().Procs[node]; fate != Run {
			p.idle++
			p.see("%s is %s by another fault", node, fate.State())
			return false, nil
		}
		if err = ask(); err == nil {
			return true, nil
		}
		if p.b.rt.Sleep(ctx, askAgain) != nil {
			break
		}
	}
	return false, err
}

const (
	askTries = 3
	askAgain = 500 * time.Millisecond
)

// prove measures each area that is touched, while nobody changes it. With a
// base of nil it measures the base itself and returns it.
func (b *Board) prove(ctx context.Context, t touched, own Want, base *baseline) (reading, *baseline, error) {
	p := &prover{b: b, t: t, base: base, own: own}
	first := base == nil
	if first {
		p.base = &baseline{latency: map[cluster.Link]usualLatency{}, disks: map[string]cluster.DiskReport{}}
	}
	measures := [areas]func(context.Context, Want, bool) error{p.proveLinks, p.proveProcs, p.proveClocks, p.proveDisks, p.proveLimits}
	for _, a := range t.areas() {
		held := []area{a}
		if err := b.lock(ctx, held); err != nil {
			return p.reading, p.base, err
		}
		err := measures[a](ctx, b.Want(), first)
		b.unlock(held)
		if err != nil {
			return p.reading, p.base, err
		}
	}
	return p.reading, p.base, nil
}

// proveProcs looks at the processes themselves.
func (p *prover) proveProcs(ctx context.Context, all Want, _ bool) error {
	for _, n := range p.t.procs {
		is, err := p.b.c.Procs.State(ctx, n)
		if err != nil {
			return fmt.Errorf("look at the process of %s: %w", n, err)
		}
		if want := all.Procs[n].State(); is != want {
			p.doubt("%s is %s, should be %s", n, is, want)
		}
		p.see("%s is %s", n, is)
	}
	return nil
}

// The tolerances for the time that the question takes on the way, on a loaded
// machine a lot.
const (
	widestClock    = 50 * time.Millisecond
	narrowestClock = 2 * time.Millisecond
)

// clockTolerance is such that the truth cannot be taken for the offset, nor
// the fault's offset for the truth.
func (p *prover) clockTolerance(node string, want time.Duration) time.Duration {
	tolerance := widestClock
	for _, offset := range []time.Duration{want, p.own.Clocks[node].Offset} {
		if offset != 0 {
			tolerance = min(tolerance, offset.Abs()/2)
		}
	}
	return max(tolerance, narrowestClock)
}

// proveClocks asks the nodes for their own time.
func (p *prover) proveClocks(ctx context.Context, _ Want, _ bool) error {
	for _, n := range p.t.clocks {
		var got time.Duration
		ok, err := p.asked(ctx, n, func() (err error) {
			got, err = p.b.c.Clocks.Offset(ctx, n)
			return err
		})
		if err != nil {
			return fmt.Errorf("ask %s for its time: %w", n, err)
		}
		if !ok {
			continue
		}
		want, late := p.b.clock(n)
		got, want = got.Round(time.Microsecond), want.Round(time.Microsecond)
		nearest := max(min(got, max(want, want-late)), min(want, want-late))
		if (got - nearest).Abs() > p.clockTolerance(n, nearest) {
			p.doubt("%s is %v off, should be %v", n, got, want)
		}
		p.see("%s is %v off, %v wanted", n, got, want)
	}
	return nil
}

// How often a disk that errs by chance is probed: until each kind of error is
// all but certain to have shown.
const (
	surely     = 16
	mostProbes = 200
)

// proveDisks writes, syncs and reads.
func (p *prover) proveDisks(ctx context.Context, all Want, first bool) error {
	for _, n := range p.t.disks {
		want := all.Disks[n]
		probes := 1
		if rate := either(either(want.ReadErrors, want.WriteErrors), want.SyncErrors); rate > 0 {
			probes = min(mostProbes, int(surely/rate)+1)
		}
		var last cluster.DiskReport
		var failed []string
		for range probes {
			r, err := p.b.c.Disks.Probe(ctx, n)
			if err != nil {
				return fmt.Errorf("probe the disk of %s: %w", n, err)
			}
			last = r
			if r.Err != "" {
				failed = append(failed, r.Err)
			}
		}
		if first {
			p.base.disks[n] = last
		}
		p.judgeDisk(n, want, last, failed, probes)
	}
	return nil
}

func (p *prover) judgeDisk(n string, want cluster.Disk, r cluster.DiskReport, failed []string, probes int) {
	took := fmt.Sprintf("write %v, sync %v, read %v", r.Write.Round(time.Microsecond), r.Sync.Round(time.Microsecond), r.Read.Round(time.Microsecond))
	said := "no error"
	if len(failed) > 0 {
		said = failed[len(failed)-1]
	}
	expect := func(what string) {
		if !slices.ContainsFunc(failed, func(s string) bool { return strings.Contains(strings.ToLower(s), what) }) {
			p.doubt("the disk of %s should answer %q, it said: %s", n, what, said)
		}
	}
	chance := want.ReadErrors > 0 || want.WriteErrors > 0 || want.SyncErrors > 0
	switch {
	case want.ReadOnly:
		expect("read-only")
	case want.Full:
		expect("no space")
	case chance:
		expect("input/output error")
	case len(failed) > 0:
		p.doubt("the disk of %s should be sound, it said: %s", n, said)
	}
	if want.Delay > 0 && !want.ReadOnly && !want.Full && !chance && max(r.Write, r.Sync) < want.Delay*9/10 {
		p.doubt("the disk of %s should take %v longer, it took: %s", n, want.Delay, took)
	}
	if usual := p.base.disks[n]; want == (cluster.Disk{}) && r.Write+r.Sync > 3*(usual.Write+usual.Sync)+100*time.Millisecond {
		p.doubt("the disk of %s is still slow: %s", n, took)
	}
	if chance {
		p.see("disk of %s: %d of %d probes failed (%s)", n, len(failed), probes, said)
		return
	}
	p.see("disk of %s: %s (%s)", n, said, took)
}

// proveLimits asks for what is in force, and for what is used.
func (p *prover) proveLimits(ctx context.Context, all Want, first bool) error {
	for _, n := range p.t.limit {
		var u cluster.Usage
		ok, err := p.asked(ctx, n, func() (err error) {
			u, err = p.b.c.Limits.Usage(ctx, n)
			return err
		})
		if err != nil {
			return fmt.Errorf("measure what %s uses: %w", n, err)
		}
		if ok {
			p.judgeLimits(n, all.Limits[n], u, first)
		}
	}
	return nil
}

func (p *prover) judgeLimits(n string, want cluster.Limits, u cluster.Usage, first bool) {
	p.b.mu.Lock()
	usual, known := p.b.usual[n]
	if first && !known && want == (cluster.Limits{}) {
		usual, known = u, true
		p.b.usual[n] = u
	}
	p.b.mu.Unlock()
	cpu := want.CPU
	if cpu == 0 {
		cpu = usual.CPULimit
	}
	switch {
	case !known && want == (cluster.Limits{}): // it did not run before, nobody knows its usual limits
	case !known && want.CPU == 0: // of memory it is enough that there is a limit
		if u.MemoryLimit <= 0 {
			p.doubt("%s has no memory limit", n)
		}
	case u.CPULimit < cpu*0.95 || u.CPULimit > cpu*1.05:
		p.doubt("%s may use %.2f CPUs, should be %.2f", n, u.CPULimit, cpu)
	case want.CPU > 0 && u.CPU > want.CPU*1.25+0.05:
		p.doubt("%s uses %.2f CPUs in spite of its limit of %.2f", n, u.CPU, want.CPU)
	case want.Headroom > 0 && (u.MemoryLimit <= 0 || usual.MemoryLimit > 0 && u.MemoryLimit >= usual.MemoryLimit):
		p.doubt("%s has no tighter memory limit than before", n)
	case want.Headroom == 0 && known && u.MemoryLimit != usual.MemoryLimit:
		p.doubt("%s has a memory limit of %d bytes, should be %d", n, u.MemoryLimit, usual.MemoryLimit)
	}
	p.see("%s uses %.2f CPUs of %s (throttled in %.0f %% of the periods) and %.1f MiB of %s", n, u.CPU,
		limit(u.CPULimit > 0, "%.2f", u.CPULimit), 100*u.Throttled,
		float64(u.Memory)/(1<<20), limit(u.MemoryLimit > 0, "%.1f MiB", float64(u.MemoryLimit)/(1<<20)))
}

func limit(is bool, format string, v float64) string {
	if !is {
		return "any number"
	}
	return fmt.Sprintf(format, v)
}
