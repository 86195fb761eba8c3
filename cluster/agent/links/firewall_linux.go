package links

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// firewall is iptables, in the kind that works here, "nft" or "legacy".
type firewall struct {
	kind     string
	families []family
	// queueing is nil if packets can be handed to user space.
	queueing error

	nft             nftables
	inForce, loaded []line
	// text is what is in force of a table in the legacy kind, by its name, and
	// waiting are the programs that are loaded with the next.
	text    map[string]string
	waiting []*restore
	// losing are the chains that drop a share, and exist.
	losing map[string]bool
}

// newFirewall makes our chains and the jumps to them, with the first kind of
// iptables that works on this kernel. IPv4 must; why tells of IPv6.
func newFirewall(canaries int) (w *firewall, why, err error) {
	var errs []error
	for _, kind := range []string{"nft", "legacy"} {
		w := &firewall{kind: kind, text: map[string]string{}, losing: map[string]bool{}}
		results := make([]error, 2)
		_ = each([]int{0, 1}, func(i int) error {
			results[i] = w.prepare(families()[i], canaries)
			return nil
		})
		if results[0] != nil {
			errs = append(errs, results[0])
			continue
		}
		w.families = families()
		if results[1] != nil {
			w.families = w.families[:1]
		}
		w.queueing = each(w.families, w.prepareQueues)
		w.nft = nftables{families: w.families, tables: w.tables()}
		return w, results[1], nil
	}
	return nil, nil, errors.Join(errs...)
}

// prepare makes the chains of the filter table of one family, and what leads
// there. The loopback is left alone: what a node says to itself is on no link.
func (w *firewall) prepare(f family, canaries int) (err error) {
	for _, owned := range ownedMatches() {
		if err = w.restore(f, f.chains(canaries, owned)); err == nil {
			return w.lead(f, "filter")
		}
	}
	return err
}

func (w *firewall) prepareQueues(f family) error {
	if err := w.restore(f, f.queues()); err != nil {
		return err
	}
	return w.lead(f, "mangle")
}

func (w *firewall) lead(f family, table string) error {
	for _, jump := range [][]string{{"INPUT", "!", "-i", "lo", "-j", chainIn}, {"OUTPUT", "!", "-o", "lo", "-j", chainOut}} {
		tool := []string{f.base + "-" + w.kind, "-w", "5", "-t", table}
		if _, err := run(slices.Concat(tool, []string{"-C"}, jump)...); err == nil {
			continue
		}
		at := []string{"-I", jump[0], "1"}
		if _, err := run(slices.Concat(tool, at, jump[1:])...); err != nil {
			return err
		}
	}
	return nil
}

// restore runs iptables-restore on a whole text.
func (w *firewall) restore(f family, text string) error {
	p, err := startRestore(f, w.kind)
	if err != nil {
		return err
	}
	return p.commit(text)
}

// load prepares the rules.
func (w *firewall) load(r Rules, m mechanisms) error {
	w.abort()
	for _, rule := range r.In {
		if m.of(rule, false) == byLoss {
			if err := w.prepareLoss(rule.Shape.Loss); err != nil {
				return err
			}
		}
	}
	w.loaded = lines(r, m)
	if w.kind == "nft" {
		return nil
	}
	for _, f := range w.families {
		for _, table := range w.tables() {
			if err := w.loadTable(f, table); err != nil {
				w.abort()
				return err
			}
		}
	}
	return nil
}

func (w *firewall) prepareLoss(loss float64) error {
	chain, text := losing(loss)
	if w.losing[chain] {
		return nil
	}
	err := each(w.families, func(f family) error { return w.restore(f, text) })
	w.losing[chain] = err == nil
	return err
}

func (w *firewall) tables() []string {
	if w.queueing != nil {
		return []string{"filter"}
	}
	return []string{"filter", "mangle"}
}

// loadTable starts a program that waits with the new rules, if they are new.
func (w *firewall) loadTable(f family, table string) error {
	text, name := f.table(table, w.loaded), f.base+" "+table
	if w.text[name] == text {
		return nil
	}
	p, err := startRestore(f, w.kind)
	if err != nil {
		return err
	}
	w.waiting = append(w.waiting, p)
	p.done = func() { w.text[name] = text }
	return p.feed(text)
}

// commit puts the loaded rules in force.
func (w *firewall) commit() (err error) {
	ls := w.loaded
	w.loaded = nil
	if w.kind == "nft" {
		if slices.Equal(ls, w.inForce) {
			return nil
		}
		err = w.nft.commit(ls)
	} else {
		err = each(w.waiting, func(p *restore) error { return p.commit("COMMIT\n") })
		for _, p := range w.waiting {
			p.done()
		}
		w.waiting = nil
	}
	w.inForce = ls
	if err != nil { // what is in force is not known
		w.inForce, w.text = []line{{}}, map[string]string{}
	}
	return err
}

func (w *firewall) abort() {
	for _, p := range w.waiting {
		p.abort()
	}
	w.loaded, w.waiting = nil, nil
}

var counted = regexp.MustCompile(`^\[(\d+):\d+\] -A (CAPSTAN-(?:IN|OUT)) -[sd] (\S+?)(?:/\d+)? -j (\S+)`)

// counter is of one rule.
type counter struct {
	chain string
	peer  netip.Addr
}

// counters adds up the packets of our rules, by chain and peer's address.
func (w *firewall) counters(add func(k counter, packets uint64)) error {
	for _, f := range w.families {
		out, err := run(f.base+"-"+w.kind+"-save", "-c")
		if err != nil {
			return err
		}
		for text := range strings.Lines(out) {
			m := counted.FindStringSubmatch(text)
			if m == nil || m[4] == "RETURN" {
				continue
			}
			n, err1 := strconv.ParseUint(m[1], 10, 64)
			a, err2 := netip.ParseAddr(m[3])
			if err := errors.Join(err1, err2); err != nil {
				return fmt.Errorf("read packet counter %q: %w", text, err)
			}
			add(counter{m[2], a}, n)
		}
	}
	return nil
}

// each runs f for all at the same time.
func each[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = f(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
