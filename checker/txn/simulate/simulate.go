package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Options say what to simulate. Default has values for all.
type Options struct {
	Isolation    string // one of Levels, or a usual abbreviation
	Workload     Workload
	Transactions int // besides planted ones
	Processes    int // at a time
	Keys         int // in use at a time
	WritesPerKey int // after which another key takes its place
	// Zipf is the exponent of the choice of keys; 0: all alike.
	Zipf                 float64
	MinLength, MaxLength int // micro-operations a transaction
	// Writes is the share of writes. ReadOnly and WriteOnly are the shares of
	// transactions that have nothing else.
	Writes, ReadOnly, WriteOnly float64
	// Fail is the share of transactions that abort, Info of those whose client
	// crashes: before the commit, after it, or long before it.
	Fail, Info float64
	Seed       uint64
	// Anomalies are planted once each, by their names in Anomalies.
	Anomalies []string
}

// Default are usual options.
func Default() Options {
	return Options{
		Isolation: "strict-serializable", Transactions: 1000, Processes: 10, Keys: 10, WritesPerKey: 32, Zipf: 1,
		MinLength: 1, MaxLength: 4, Writes: 0.5, Fail: 0.02, Info: 0.01,
	}
}

// Planted is an anomaly and where it is.
type Planted struct {
	Anomaly string `json:"anomaly"`
	// Transactions are the indexes of their completions.
	Transactions []int   `json:"transactions"`
	Keys         []int32 `json:"keys"`
	Processes    []int   `json:"processes"`
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	if _, ok := levelNamed(o.Isolation); !ok {
		return fmt.Errorf("unknown isolation level %q; there are: %s", o.Isolation, strings.Join(Levels(), ", "))
	}
	if _, err := plants(o.Workload, o.Anomalies); err != nil {
		return err
	}
	return o.validateNumbers()
}

func (o *Options) validateNumbers() error {
	share := func(f float64) bool { return f >= 0 && f <= 1 }
	switch {
	case o.Transactions < 0:
		return fmt.Errorf("%d transactions: want 0 or more", o.Transactions)
	case o.Processes < 1:
		return fmt.Errorf("%d processes: want at least 1", o.Processes)
	case o.Keys < 1 || o.Keys > choices/4:
		return fmt.Errorf("%d keys: want 1 to %d", o.Keys, choices/4)
	case o.WritesPerKey < 1:
		return fmt.Errorf("%d writes a key: want at least 1", o.WritesPerKey)
	case !(o.Zipf >= 0 && o.Zipf <= 3):
		return fmt.Errorf("zipf %v: want 0 to 3", o.Zipf)
	case o.MinLength < 1 || o.MaxLength < o.MinLength:
		return fmt.Errorf("lengths %d to %d: want at least 1, and the least first", o.MinLength, o.MaxLength)
	case !share(o.Writes) || !share(o.ReadOnly) || !share(o.WriteOnly) || !share(o.ReadOnly+o.WriteOnly):
		return fmt.Errorf("shares %v, %v, %v: want 0 to 1, the last two together too", o.Writes, o.ReadOnly, o.WriteOnly)
	case !share(o.Fail) || !share(o.Info) || !share(o.Fail+o.Info):
		return fmt.Errorf("fail %v, info %v: want 0 to 1, together too", o.Fail, o.Info)
	}
	return nil
}

// Run makes a history and gives its events to emit, one by one. An error of
// emit ends it.
func Run(o Options, emit func(*Event) error) ([]Planted, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	l, _ := levelNamed(o.Isolation)
	plants, err := plants(o.Workload, o.Anomalies)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(o.Seed, uint64(o.Workload)))
	s := &simulation{Options: o, rng: rng, emit: emit, stride: o.Processes}
	for _, p := range plants {
		s.stride = max(s.stride, o.Processes+p.processes())
	}
	s.mix = newMix(&s.Options, rng)
	s.db = database{level: l, store: store{lists: o.Workload != RWRegister}, rng: rng}
	for i := range plants {
		plants[i].after = s.rng.IntN(o.Transactions + 1)
	}
	slices.SortStableFunc(plants, func(a, b plant) int { return a.after - b.after })
	s.plants = plants
	err = s.run()
	return s.planted, err
}

// simulation is a run: clients, the database, and the clock.
type simulation struct {
	Options
	rng     *rand.Rand
	mix     *mix
	db      database
	emit    func(*Event) error
	clients []*client
	queue   []*client // a heap by time
	began   int       // transactions
	events  int
	stride  int // between the processes of a client
	plants  []plant
	planted []Planted
	// now is the time of the last event, without what plants took, which is
	// added to all later ones.
	now, shift time.Duration
}

// client runs one transaction after the other.
type client struct {
	attempt
	process int
	due     time.Duration // of the next step
	number  int           // among clients, to break ties
	step    step
	mop     int // the next one
	tries   int
	ending  ending
}

// step is what a client does next.
type step uint8

const (
	invoke step = iota
	begin
	operate
	commit
	complete
	commitLate
)

// ending is how a transaction is going to end if nothing intervenes.
type ending uint8

const (
	committed ending = iota
	aborted
	crashed          // before the commit
	crashedCommitted // after it
	crashedLong      // before it, and the commit comes after the completion
)

func (s *simulation) run() error {
	for i := range min(s.Processes, s.Transactions) {
		c := &client{process: i, number: i, due: s.delay()}
		s.clients = append(s.clients, c)
		s.push(c)
	}
	for {
		for len(s.plants) > 0 && s.plants[0].after <= s.began {
			if err := s.plant(s.plants[0]); err != nil {
				return err
			}
			s.plants = s.plants[1:]
		}
		if len(s.queue) == 0 {
			return nil
		}
		c := s.queue[0]
		done, err := s.advance(c)
		if err != nil {
			return err
		}
		if done {
			s.drop()
			continue
		}
		c.due += s.delay()
		s.sift(0)
	}
}

// delay is the time of a step, of about half a millisecond.
func (s *simulation) delay() time.Duration { return 1 + time.Duration(s.rng.Uint32N(1<<20)) }

// event writes a line.
func (s *simulation) event(at time.Duration, process int, t Type, mops []Mop) error {
	e := Event{Index: s.events, Time: at + s.shift, Process: process, Type: t, Mops: mops}
	s.events++
	s.now = at
	return s.emit(&e)
}

// advance takes one step of a client; true: it has nothing more to do.
func (s *simulation) advance(c *client) (bool, error) {
	switch c.step {
	case invoke:
		if s.began == s.Transactions {
			return true, nil
		}
		s.began++
		c.mops = s.mix.next(c.mops)
		c.tries, c.fresh, c.step, c.ending = 0, false, begin, s.ending()
		return false, s.event(c.due, c.process, Invoke, c.mops)
	case begin:
		s.db.begin(&c.attempt)
		c.mop, c.step = 0, operate
	case operate:
		s.operate(c)
	case commit:
		s.commit(c)
	case complete:
		return false, s.complete(c)
	case commitLate:
		s.commitLate(c)
	}
	return false, nil
}

func (s *simulation) ending() ending {
	u := s.rng.Float64()
	switch {
	case u < s.Fail:
		return aborted
	case u < s.Fail+s.Info:
		return crashed + ending(s.rng.IntN(3))
	}
	return committed
}

// patience is how often an operation waits for a lock, and how many conflicts
// a transaction suffers before it gets the database for itself.
const patience = 4

func (s *simulation) operate(c *client) {
	if !s.db.do(&c.attempt, c.mop) {
		if c.tries++; c.tries > patience {
			s.db.locks.abort(&s.db.store, &c.attempt)
			c.step, c.ending = complete, aborted
		}
		return
	}
	if c.mop++; c.mop == len(c.mops) {
		c.step = commit
	}
}

func (s *simulation) commit(c *client) {
	c.step = complete
	switch c.ending {
	case aborted, crashed:
		s.db.locks.abort(&s.db.store, &c.attempt)
	case crashedLong: // commits later
	default:
		s.commitOrRetry(c)
	}
}

func (s *simulation) commitOrRetry(c *client) {
	if s.db.commit(&c.attempt) {
		return
	}
	c.fresh, c.step = true, begin
	if c.tries++; c.tries <= patience {
		return
	}
	s.db.begin(&c.attempt)
	for i := range c.mops {
		s.db.do(&c.attempt, i)
	}
	if !s.db.commit(&c.attempt) {
		panic("simulate: a transaction conflicts with nothing")
	}
	c.step = complete
}

func (s *simulation) complete(c *client) error {
	t := OK
	c.step = invoke
	switch c.ending {
	case aborted:
		t = Fail
	case crashed, crashedCommitted:
		t = Info
	case crashedLong:
		t, c.step = Info, commitLate
	}
	err := s.event(c.due, c.process, t, c.mops)
	if t == Info {
		c.process += s.stride
		c.known = view{}
	}
	return err
}

// commitLate commits what a crashed client left behind, if nothing is in its
// way.
func (s *simulation) commitLate(c *client) {
	if !s.db.commit(&c.attempt) {
		s.db.locks.abort(&s.db.store, &c.attempt)
	}
	c.known = view{}
	c.step = invoke
}

func (c *client) before(o *client) bool {
	return c.due < o.due || c.due == o.due && c.number < o.number
}

func (s *simulation) push(c *client) {
	s.queue = append(s.queue, c)
	for i := len(s.queue) - 1; i > 0; {
		up := (i - 1) / 2
		if !s.queue[i].before(s.queue[up]) {
			return
		}
		s.queue[i], s.queue[up] = s.queue[up], s.queue[i]
		i = up
	}
}

func (s *simulation) drop() {
	last := len(s.queue) - 1
	s.queue[0] = s.queue[last]
	s.queue = s.queue[:last]
	s.sift(0)
}

func (s *simulation) sift(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(s.queue) && s.queue[child].before(s.queue[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.queue[i], s.queue[least] = s.queue[least], s.queue[i]
		i = least
	}
}
