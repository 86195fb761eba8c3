package conform

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/workloads/bank"
	"github.com/capstan-dev/capstan/workloads/counter"
	"github.com/capstan-dev/capstan/workloads/lock"
	"github.com/capstan-dev/capstan/workloads/monotonic"
	"github.com/capstan-dev/capstan/workloads/register"
	"github.com/capstan-dev/capstan/workloads/set"
	"github.com/capstan-dev/capstan/workloads/txn"
)

// probe is a call whose executions can be counted.
type probe struct {
	name string
	// prepare, if set, is called once before.
	prepare func(ctx context.Context, conn io.Closer) error
	// do makes the call with a number that no other call has.
	do func(ctx context.Context, conn io.Closer, x int) error
	// count says how often the call with that number was executed.
	count func(ctx context.Context, conn io.Closer, x int) (int, error)
}

// probes are those that a connection can do.
func (s *suite) probes(conn io.Closer) []probe {
	var all []probe
	if _, ok := conn.(register.Store); ok {
		all = append(all, writes())
	}
	if _, ok := conn.(set.Store); ok {
		all = append(all, adds())
	}
	if _, ok := conn.(txn.Appender); ok {
		all = append(all, appends())
	}
	if _, ok := conn.(txn.Registers); ok {
		all = append(all, sets())
	}
	if _, ok := conn.(counter.Store); ok {
		all = append(all, increments())
	}
	if _, ok := conn.(monotonic.Store); ok {
		all = append(all, grows())
	}
	if _, ok := conn.(bank.Store); ok {
		all = append(all, transfers())
	}
	if _, ok := conn.(lock.Store); ok {
		all = append(all, saves())
	}
	return all
}

func writes() probe {
	return probe{name: "register write", do: func(ctx context.Context, c io.Closer, x int) error {
		return c.(register.Store).Write(ctx, x, x)
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		v, ok, err := c.(register.Store).Read(ctx, x)
		return truth(ok && v == x), err
	}}
}

func adds() probe {
	return probe{name: "set add", do: func(ctx context.Context, c io.Closer, x int) error {
		return c.(set.Store).Add(ctx, x)
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		all, err := c.(set.Store).ReadAll(ctx)
		return occurrences(all, x), err
	}}
}

// protected keeps what saves write away from the keys of other tests.
func protected(x int) int { return 1_000_000 + x }

func saves() probe {
	return probe{name: "lock save", do: func(ctx context.Context, c io.Closer, x int) error {
		_, err := c.(lock.Store).Save(ctx, protected(x), []int{x}, 0)
		return err
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		list, err := c.(lock.Store).Load(ctx, protected(x))
		return occurrences(list, x), err
	}}
}

// listOf spreads appends over keys, so that lists stay short.
func listOf(x int) int { return 1000 + x }

func appends() probe {
	return probe{name: "append", do: func(ctx context.Context, c io.Closer, x int) error {
		_, err := c.(txn.Appender).AppendTxn(ctx, []txn.Mop{{F: "append", Key: listOf(x), Value: x}})
		return err
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		mops, err := c.(txn.Appender).AppendTxn(ctx, []txn.Mop{{F: "r", Key: listOf(x)}})
		if err != nil {
			return 0, err
		}
		return occurrences(mops[0].List, x), nil
	}}
}

func sets() probe {
	return probe{name: "wr write", do: func(ctx context.Context, c io.Closer, x int) error {
		_, err := c.(txn.Registers).WriteTxn(ctx, []txn.Mop{{F: "w", Key: x, Value: x}})
		return err
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		mops, err := c.(txn.Registers).WriteTxn(ctx, []txn.Mop{{F: "r", Key: x}})
		if err != nil {
			return 0, err
		}
		return truth(mops[0].Known && mops[0].Value == x), nil
	}}
}

// counted makes a probe of something that adds up to a number: it compares it
// with what it was after the call before.
func counted(name string, add func(context.Context, io.Closer) error, get func(context.Context, io.Closer) (int, error)) probe {
	last, asked := 0, 0
	return probe{name: name, do: func(ctx context.Context, c io.Closer, x int) error {
		asked = x
		return add(ctx, c)
	}, count: func(ctx context.Context, c io.Closer, x int) (int, error) {
		now, err := get(ctx, c)
		if err != nil || x != asked {
			return 0, errors.Join(err, errLater)
		}
		n := now - last
		last, asked = now, 0
		return n, nil
	}}
}

// errLater: sums say nothing of a call once there were others.
var errLater = errors.New("not to be counted any more")

func increments() probe {
	return counted("counter increment", func(ctx context.Context, c io.Closer) error {
		return c.(counter.Store).AddTo(ctx, 1)
	}, func(ctx context.Context, c io.Closer) (int, error) {
		return c.(counter.Store).Get(ctx)
	})
}

const grown = 7777 // a key of monotonic

func grows() probe {
	return counted("monotonic increment", func(ctx context.Context, c io.Closer) error {
		_, err := c.(monotonic.Store).Increment(ctx, grown)
		return err
	}, func(ctx context.Context, c io.Closer) (int, error) {
		vs, err := c.(monotonic.Store).ReadMany(ctx, []int{grown})
		if err != nil {
			return 0, err
		}
		return vs[0], nil
	})
}

// moved is what a probe transfers; it is there by the thousand.
const moved = 1

func transfers() probe {
	p := counted("bank transfer", func(ctx context.Context, c io.Closer) error {
		done, err := c.(bank.Store).Transfer(ctx, 0, 1, moved)
		if err == nil && !done {
			err = errors.New("not enough money")
		}
		return err
	}, func(ctx context.Context, c io.Closer) (int, error) {
		bs, err := c.(bank.Store).Balances(ctx)
		if err != nil {
			return 0, err
		}
		return bs[1] / moved, nil
	})
	p.prepare = func(ctx context.Context, c io.Closer) error {
		return c.(bank.Store).OpenAccounts(ctx, accounts, balance)
	}
	return p
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func occurrences(list []int, x int) int {
	n := 0
	for _, e := range list {
		n += truth(e == x)
	}
	return n
}

// mostAnswers bounds how many answers one call can have.
const mostAnswers = 60

// lostAnswers loses the first answer of a call, the second, and so on until
// the call succeeds, by silence and by a broken connection. Whatever the call
// says of itself must be so: done is once, certainly not done is never, unknown
// is once or never. No call is executed twice, and each has an answer whose
// loss leaves it executed and unknown.
func (s *suite) lostAnswers(t *testing.T) {
	watcher := s.open(t, s.node)
	for _, p := range s.probes(watcher) {
		for _, w := range []way{mute, snap} {
			t.Run(p.name+" "+string(w), func(t *testing.T) { s.lose(t, watcher, p, w) })
		}
	}
}

// rounds is how often the answers are counted anew: a protocol with frames of
// its own, such as HTTP/2, does not send the same ones each time.
const rounds = 4

func (s *suite) lose(t *testing.T, watcher io.Closer, p probe, w way) {
	s.executions(t, watcher, p, s.prime(t, watcher, p))
	var said []string
	for range rounds {
		unknown, more := s.loseEach(t, watcher, p, w)
		said = append(said, more...)
		if unknown > 0 || t.Failed() {
			return
		}
	}
	t.Errorf("no lost answer left the call executed and unknown:\n%q", said)
}

// loseEach returns how many calls were executed and unknown, and what each call
// said.
func (s *suite) loseEach(t *testing.T, watcher io.Closer, p probe, w way) (unknown int, said []string) {
	for after := range mostAnswers {
		x := s.number()
		err := s.callLosing(t, p, w, after, x)
		n := s.executions(t, watcher, p, x)
		said = append(said, fmt.Sprintf("%d: %d times, %v", after, n, err))
		switch {
		case err == nil && n != 1, errors.Is(err, history.ErrNotApplied) && n != 0, n > 1, n < 0:
			t.Errorf("after %d answers the call was executed %d times and says %v", after, n, err)
		}
		if err == nil {
			return unknown, said
		}
		unknown += truth(n == 1)
	}
	t.Errorf("the call does not succeed even with %d answers:\n%q", mostAnswers, said)
	return unknown, said
}

// prime makes an undisturbed call, so that sums have a beginning.
func (s *suite) prime(t *testing.T, conn io.Closer, p probe) int {
	t.Helper()
	if p.prepare != nil {
		Must(t, p.prepare(Within(t, callLimit), conn))
	}
	x := s.number()
	if err := p.do(Within(t, callLimit), conn, x); err != nil {
		t.Fatalf("undisturbed: %v", err)
	}
	return x
}

// callLosing makes a call on a connection of its own, and loses what comes
// after so many answers.
func (s *suite) callLosing(t *testing.T, p probe, w way, after, x int) error {
	before := s.proxies.sessions()
	conn, err := s.Open(Within(t, callLimit), s.node, s.number())
	Must(t, err)
	defer conn.Close()
	s.warm(t, p, conn)
	s.arm(before, w, after)
	began := time.Now()
	err = p.do(Within(t, opLimit), conn, x)
	if took := time.Since(began); took > opLimit+late {
		t.Errorf("a call with %v took %v", opLimit, took)
	}
	return err
}

// warm reads, for connections that are made with the first call.
func (s *suite) warm(t *testing.T, p probe, conn io.Closer) {
	t.Helper()
	if _, err := p.count(Within(t, callLimit), conn, 0); err != nil && !retriable(err) {
		t.Fatalf("undisturbed read: %v", err)
	}
}

// executions counts when there was time for a second one.
func (s *suite) executions(t *testing.T, watcher io.Closer, p probe, x int) int {
	t.Helper()
	time.Sleep(settle)
	var err error
	for range 20 {
		var n int
		if n, err = p.count(Within(t, callLimit), watcher, x); err == nil {
			return n
		}
		if !retriable(err) {
			break
		}
		time.Sleep(settle / 5)
	}
	t.Fatalf("count executions: %v", err)
	return 0
}

// retriable: a read may lose against a transaction that is not over yet.
func retriable(err error) bool {
	return errors.Is(err, history.ErrNotApplied) && !errors.Is(err, errLater)
}
