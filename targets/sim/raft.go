package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	world "github.com/capstan-dev/capstan/cluster/sim"
)

// raftConfig shapes the nodes of topology raft.
type raftConfig struct {
	localRead bool
	bug       string
}

// The timing of raft. A leader ticks once a beat; electionTicks is after how
// many it looks whether it still has a quorum.
const (
	electionTicks = 10
	readRetry     = 300 * time.Millisecond
)

// raftNode is a node of the topology raft: the state machine of
// go.etcd.io/raft, its log on the simulated disk, and a clock of our own. The
// library draws its election timeouts from the operating system; so followers
// never tick, and are told from here, by seeded timers, when to forget their
// leader and when to campaign.
type raftNode struct {
	env  *world.Env
	cfg  raftConfig
	disk syncer
	desk *desk
	raft *raft.RawNode
	logs *raft.MemoryStorage

	term    uint64
	leader  int
	heard   time.Duration
	limit   time.Duration
	forgot  bool
	syncing int // syncs under way

	store   *store
	applied uint64
	reads   readQueue
}

// raftRecord is what one append writes to disk.
type raftRecord struct {
	state   *pb.HardState
	entries []*pb.Entry
}

func bootRaft(cfg raftConfig) world.Boot {
	return func(env *world.Env) world.Server {
		n := &raftNode{
			env:    env,
			cfg:    cfg,
			disk:   syncer{env: env, pretend: cfg.bug == bugNoFsync},
			desk:   newDesk(env),
			logs:   raft.NewMemoryStorage(),
			leader: nobody,
			store:  newStore(),
		}
		defer n.guard()
		n.recover()
		n.hear()
		env.After(beatEvery, n.beat)
		return n
	}
}

// recover reads the disk and starts the library on it.
func (n *raftNode) recover() {
	var voters []uint64
	for i := range n.env.Size() {
		voters = append(voters, uint64(i+1))
	}
	// A log that begins behind index 1 needs no entries for its members.
	n.must(n.logs.ApplySnapshot(&pb.Snapshot{Metadata: &pb.SnapshotMetadata{
		ConfState: &pb.ConfState{Voters: voters}, Index: new(uint64(1)), Term: new(uint64(1)),
	}}))
	state := &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(uint64(1))}
	for _, r := range n.env.Records() {
		r := r.(raftRecord)
		n.must(n.logs.Append(r.entries))
		if r.state != nil {
			state = r.state
		}
	}
	n.must(n.logs.SetHardState(state))
	n.term = state.GetTerm()
	node, err := raft.NewRawNode(&raft.Config{
		ID:                 uint64(n.env.ID() + 1),
		ElectionTick:       electionTicks,
		HeartbeatTick:      1,
		Storage:            n.logs,
		AsyncStorageWrites: true,
		MaxSizePerMsg:      4 << 10,
		MaxInflightMsgs:    256,
		CheckQuorum:        n.cfg.bug != bugStaleRead,
		PreVote:            true,
		Logger:             quiet{},
	})
	n.must(err)
	n.raft = node
}

func (n *raftNode) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("sim: raft and its log: %v", err))
	}
}

// guard ends the process if the library panics because of a planted bug.
func (n *raftNode) guard() {
	if n.cfg.bug == noBug || n.cfg.bug == "" {
		return
	}
	if p := recover(); p != nil {
		n.env.Crash(fmt.Sprint("panic: ", p))
	}
}

// Receive implements world.Server.
func (n *raftNode) Receive(_ int, msg any) {
	defer n.guard()
	m := msg.(*pb.Message)
	switch m.GetType() {
	case pb.MsgApp, pb.MsgHeartbeat, pb.MsgSnap:
		if m.GetTerm() >= n.term {
			n.hear()
		}
	}
	// The only errors are of messages that come too late.
	_ = n.raft.Step(m)
	n.drain()
}

// Request implements world.Server.
func (n *raftNode) Request(c *world.Call) {
	defer n.guard()
	if _, ok := c.Body.(askRole); ok {
		c.Reply(role{primary: n.leader, ready: n.leader != nobody})
		return
	}
	if ask, ok := c.Body.(askTransfer); ok {
		n.raft.TransferLeader(uint64(ask.to + 1))
		c.Reply(nil)
		n.drain()
		return
	}
	switch o := c.Body.(op); {
	case !o.reads():
		n.write(c, o)
	case n.cfg.localRead, n.cfg.bug == bugStaleRead && n.leads():
		c.Reply(n.store.read(o))
	case n.leader == nobody:
		c.Reply(reject("no leader is known"))
	default:
		n.reads.waiting = append(n.reads.waiting, pendingRead{n.desk.take(c), o})
		n.startReads()
	}
	n.drain()
}

func (n *raftNode) leads() bool { return n.leader == n.env.ID() }

// write proposes an operation; the library forwards it to the leader.
func (n *raftNode) write(c *world.Call, o op) {
	if n.cfg.bug == bugCASOnStale && o.kind == opCAS {
		v, ok := n.store.registers[o.key]
		if !ok || v != o.a {
			c.Reply(result{})
			return
		}
		o = op{kind: opWrite, key: o.key, a: o.b}
	}
	id := n.desk.take(c)
	if err := n.raft.Propose(encode(id, o)); err != nil {
		n.desk.reply(id, reject("no leader is known"))
		return
	}
	switch {
	case n.cfg.bug == bugAckBeforeQuorum && n.leads() && o.kind != opCAS:
		n.desk.reply(id, result{ok: true})
	case n.cfg.bug == bugDoubleApply:
		n.env.After(resendAfter, func() { n.again(id, o) })
	case n.cfg.bug == bugPhantomFail:
		n.desk.giveUp(id)
	}
}

// again is what an impatient node does.
func (n *raftNode) again(id opID, o op) {
	defer n.guard()
	if n.desk.waits(id) && n.raft.Propose(encode(id, o)) == nil {
		n.drain()
	}
}

// encode packs an operation and its name into an entry.
func encode(id opID, o op) []byte {
	b := make([]byte, 0, 48)
	b = append(b, byte(o.kind))
	b = binary.AppendUvarint(b, uint64(id.node))
	b = binary.AppendUvarint(b, uint64(id.life))
	b = binary.AppendUvarint(b, id.seq)
	b = binary.AppendVarint(b, int64(o.key))
	b = binary.AppendVarint(b, int64(o.a))
	return binary.AppendVarint(b, int64(o.b))
}

func decode(b []byte) (opID, op) {
	o := op{kind: opKind(b[0])}
	b = b[1:]
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[n:]
		return v
	}
	signed := func() int {
		v, n := binary.Varint(b)
		b = b[n:]
		return int(v)
	}
	id := opID{node: uint32(number()), life: uint32(number()), seq: number()}
	o.key, o.a, o.b = signed(), signed(), signed()
	return id, o
}

// beat is the clock of a node.
func (n *raftNode) beat() {
	defer n.guard()
	n.env.After(beatEvery, n.beat)
	silent := n.env.Now() - n.heard
	switch {
	case n.leads():
		n.raft.Tick()
	case silent > n.limit:
		n.hear()
		// It stays what it is if it cannot campaign.
		_ = n.raft.Campaign()
	case silent > silence && !n.forgot:
		n.forgot = true
		// Without this it would not vote: it has a leader, as far as it knows.
		_ = n.raft.ForgetLeader()
	}
	n.retryReads()
	n.drain()
}

// hear notes that the leader lives, and draws how long to wait for it.
func (n *raftNode) hear() {
	n.heard = n.env.Now()
	n.forgot = false
	n.limit = silence + time.Duration(n.env.Rand().Int64N(int64(silenceMax-silence)))
}

// drain does what the library wants done.
func (n *raftNode) drain() {
	for n.raft.HasReady() {
		rd := n.raft.Ready()
		if !raft.IsEmptyHardState(rd.HardState) {
			n.term = rd.HardState.GetTerm()
		}
		if rd.SoftState != nil {
			n.followLeader(int(rd.SoftState.Lead)-1, rd.SoftState.RaftState)
		}
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				n.append(m)
			case raft.LocalApplyThread:
				n.apply(m)
			default:
				n.env.Send(int(m.GetTo())-1, m)
			}
		}
		for _, r := range rd.ReadStates {
			n.reads.confirm(r)
		}
		n.answerReads()
	}
}

// followLeader notes who leads. A leader that is replaced does not know what
// becomes of what it has not answered.
func (n *raftNode) followLeader(leader int, state raft.StateType) {
	if leader == n.leader {
		return
	}
	led := n.leads()
	n.leader = leader
	if leader == nobody {
		n.env.Logf("term %d: no leader (%s)", n.term, state)
	} else {
		n.env.Logf("term %d: the leader is %s", n.term, n.env.Name(leader))
	}
	if led {
		n.desk.replyAll(result{outcome: unknown, why: "the leader changed"})
	}
}

// append writes to the log, and sends on what depends on that when it is safe.
func (n *raftNode) append(m *pb.Message) {
	r := raftRecord{entries: m.GetEntries()}
	if m.Term != nil {
		r.state = &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
		n.must(n.logs.SetHardState(r.state))
	}
	n.must(n.logs.Append(r.entries))
	empty := r.state == nil && len(r.entries) == 0
	if !empty {
		n.env.Append(r)
	}
	responses := m.GetResponses()
	switch {
	case len(responses) == 0:
	case empty && n.syncing == 0:
		n.respond(responses)
	default:
		n.syncing++
		n.disk.sync(func() {
			defer n.guard()
			n.syncing--
			n.respond(responses)
			n.drain()
		})
	}
}

// respond delivers what a local write allows.
func (n *raftNode) respond(responses []*pb.Message) {
	for _, m := range responses {
		if to := int(m.GetTo()) - 1; to != n.env.ID() {
			n.env.Send(to, m)
		} else {
			_ = n.raft.Step(m) // an error means that it comes too late
		}
	}
}

// apply runs committed entries.
func (n *raftNode) apply(m *pb.Message) {
	for _, e := range m.GetEntries() {
		n.applied = e.GetIndex()
		if len(e.GetData()) == 0 {
			continue
		}
		if n.cfg.bug == bugSkipEntry && !n.leads() && n.applied%skipEvery == 0 {
			continue
		}
		id, o := decode(e.GetData())
		res := n.store.apply(o)
		n.desk.reply(id, res)
	}
	n.respond(m.GetResponses())
}

// quiet takes the library's log. What users need to know of elections is
// logged by the node.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}

func (quiet) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (quiet) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }

var _ raft.Logger = quiet{}
