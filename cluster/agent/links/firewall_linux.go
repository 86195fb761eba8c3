package links

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// firewall is iptables of one family, in the kind that works here.
type firewall struct {
	family
	kind   string
	ports  int      // the canaries'
	warm   *restore // started, not fed
	loaded *restore
	// text is what is in force, next what is loaded.
	text, next string
}

// newFirewall makes our chains and the jumps to them, with the first kind of
// iptables that works on this kernel.
func newFirewall(f family, canaries int) (*firewall, error) {
	var errs []error
	for _, kind := range []string{"nft", "legacy"} {
		w := &firewall{family: f, kind: kind, ports: canaries}
		err := w.prepare()
		if err == nil {
			return w, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (w *firewall) prepare() error {
	if err := w.load(Rules{}); err != nil {
		return err
	}
	if err := w.commit(); err != nil {
		return err
	}
	for from, to := range map[string]string{"INPUT": chainIn, "OUTPUT": chainOut} {
		if _, err := w.tables("-C", from, "-j", to); err == nil {
			continue
		}
		if _, err := w.tables("-I", from, "1", "-j", to); err != nil {
			return err
		}
	}
	return nil
}

func (w *firewall) tables(args ...string) (string, error) {
	return run(append([]string{w.base + "-" + w.kind, "-w", "5"}, args...)...)
}

// load prepares the rules. Nothing is to be done if they are in force.
func (w *firewall) load(r Rules) error {
	w.abort()
	w.next = w.table(r, w.ports)
	if w.next == w.text {
		return nil
	}
	p := w.warm
	w.warm = nil
	if p == nil {
		var err error
		if p, err = startRestore(w.family, w.kind); err != nil {
			return err
		}
	}
	if err := p.feed(w.next); err != nil {
		p.abort()
		return err
	}
	w.loaded = p
	return nil
}

func (w *firewall) commit() error {
	p := w.loaded
	w.loaded = nil
	if p == nil {
		return nil
	}
	if err := p.commit(); err != nil {
		w.text = "" // unknown
		return err
	}
	w.text = w.next
	return nil
}

func (w *firewall) abort() {
	if w.loaded != nil {
		w.loaded.abort()
		w.loaded = nil
	}
}

// keepWarm starts the program of the next change ahead of time.
func (w *firewall) keepWarm() {
	if w.warm == nil {
		// Without it the next change starts one itself, and tells the error.
		w.warm, _ = startRestore(w.family, w.kind)
	}
}

var counted = regexp.MustCompile(`^\[(\d+):\d+\] -A (CAPSTAN-\w+) -[sd] (\S+?)(?:/\d+)? .*-j (?:DROP|REJECT)`)

// counters adds up the packets of our rules, by chain and peer's address.
func (w *firewall) counters(add func(chain string, peer netip.Addr, packets uint64)) error {
	out, err := run(w.base+"-"+w.kind+"-save", "-c", "-t", "filter")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		m := counted.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err1 := strconv.ParseUint(m[1], 10, 64)
		a, err2 := netip.ParseAddr(m[3])
		if err := errors.Join(err1, err2); err != nil {
			return fmt.Errorf("read packet counter %q: %w", line, err)
		}
		add(m[2], a, n)
	}
	return nil
}

// side runs f for all at the same time.
func each[T any](all []T, f func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = f(one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
