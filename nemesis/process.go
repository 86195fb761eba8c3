package nemesis

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/capstan-dev/capstan/cluster"
)

// Kill is the fault kind that ends server processes with SIGKILL and starts
// them again.
func Kill() Kind {
	return processKind("kill", "end server processes with SIGKILL; start them again at the heal", Killed)
}

// Stop is the fault kind that ends server processes as their manual says.
func Stop() Kind {
	return processKind("stop", "end server processes gracefully, as an operator does; start them again at the heal", Stopped)
}

// Pause is the fault kind that freezes all processes of a node.
func Pause() Kind {
	return processKind("pause", "freeze all processes of nodes, as a stopped virtual machine; resume them at the heal", Paused)
}

// Suspend is the fault kind that stops the server process alone.
func Suspend() Kind {
	return processKind("suspend", "stop the server process alone with SIGSTOP; continue it at the heal", Suspended)
}

func processKind(kind, doc string, fate Fate) Kind {
	return Kind{Name: kind, Doc: doc, Params: []Param{nodesParam("of", "")},
		make: func(name string, v values) (Fault, error) {
			return process{name: name, kind: kind, spec: v.nodes("of"), fate: fate}, nil
		}}
}

// process is a fault that gives processes one fate for its whole length, or,
// with a script, one after the other.
type process struct {
	name, kind string
	spec       nodeSpec
	fate       Fate
	// play is what goes on then, if anything does.
	play func(nodes []string) func(context.Context, *Stage) error
	// first limits how many of the nodes are hit to begin with; 0 is all.
	first int
}

func (p process) Name() string { return p.name }

func (p process) Applicable(c *cluster.Cluster) error {
	if c.Procs == nil {
		return lacks(c, "Procs", "cannot "+p.kind+" its processes")
	}
	if p.fate == Crashed {
		if c.Disks == nil {
			return lacks(c, "Disks", "cannot lose what its disks have not synced")
		}
		if err := c.Disks.CrashLoses(); err != nil {
			return err
		}
	}
	return p.spec.check(c)
}

// Draw implements Fault.
func (p process) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := p.spec.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	hit := nodes
	if p.first > 0 {
		hit = nodes[:min(p.first, len(nodes))]
	}
	a := Action{Fault: p.name, Nodes: nodes, Want: Want{Procs: each(hit, p.fate)}}
	if p.play != nil {
		a.Play = p.play(nodes)
	}
	return a, nil
}

// Crash is the fault kind that ends server processes and loses what was not
// synced.
func Crash() Kind {
	return processKind("crash", "end server processes and lose all that they had written and not synced, as a power cut does; start them again at the heal", Crashed)
}

// Storm is the fault kind that kills and starts again and again.
func Storm() Kind {
	return Kind{Name: "storm", Doc: "kill server processes and start them again, once in every, on and on",
		Params: []Param{nodesParam("of", ""), durationParam("every", "1s")},
		make: func(name string, v values) (Fault, error) {
			every := v.duration("every")
			if every < 10*time.Millisecond {
				return nil, errors.New("every: want at least 10ms")
			}
			return process{name: name, kind: "kill", spec: v.nodes("of"), fate: Killed, play: storm(every)}, nil
		}}
}

func storm(every time.Duration) func([]string) func(context.Context, *Stage) error {
	return func(nodes []string) func(context.Context, *Stage) error {
		return func(ctx context.Context, s *Stage) error {
			for {
				if err := s.Sleep(ctx, every/2); err != nil {
					return err
				}
				if err := s.change(ctx, Want{}); err != nil {
					return err
				}
				if err := s.Sleep(ctx, every/2); err != nil {
					return err
				}
				if err := s.change(ctx, Want{Procs: each(nodes, Killed)}); err != nil {
					return err
				}
			}
		}
	}
}

// change sets the share and measures it.
func (s *Stage) change(ctx context.Context, w Want) error {
	if err := s.Set(ctx, w); err != nil {
		return err
	}
	return s.Prove(ctx)
}

// Rolling is the fault kind that restarts one node after the other.
func Rolling() Kind {
	return Kind{Name: "rolling", Doc: "stop and start one node after the other, gracefully, as for an update: each is down for a time, and the next one follows after a gap",
		Params: []Param{nodesParam("of", "all"), durationParam("down", "1s"), durationParam("gap", "1s")},
		make: func(name string, v values) (Fault, error) {
			return process{name: name, kind: "stop", spec: v.nodes("of"), fate: Stopped, first: 1, play: rolling(v.duration("down"), v.duration("gap"))}, nil
		}}
}

func rolling(down, gap time.Duration) func([]string) func(context.Context, *Stage) error {
	return func(nodes []string) func(context.Context, *Stage) error {
		return func(ctx context.Context, s *Stage) error {
			for i := range nodes {
				if i > 0 {
					if err := s.change(ctx, Want{Procs: each(nodes[i:i+1], Stopped)}); err != nil {
						return err
					}
				}
				if err := s.Sleep(ctx, down); err != nil {
					return err
				}
				if err := s.change(ctx, Want{}); err != nil {
					return err
				}
				if err := s.Sleep(ctx, gap); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

// Rekill is the fault kind that kills a node once more while it recovers.
func Rekill() Kind {
	return Kind{Name: "rekill", Doc: "kill server processes, start them again after a time down, and kill them once more while they recover",
		Params: []Param{nodesParam("of", ""), durationParam("down", "500ms"), durationParam("after", "200ms")},
		make: func(name string, v values) (Fault, error) {
			return process{name: name, kind: "kill", spec: v.nodes("of"), fate: Killed, play: rekill(v.duration("down"), v.duration("after"))}, nil
		}}
}

func rekill(down, after time.Duration) func([]string) func(context.Context, *Stage) error {
	return func(nodes []string) func(context.Context, *Stage) error {
		return func(ctx context.Context, s *Stage) error {
			if err := s.Sleep(ctx, down); err != nil {
				return err
			}
			if err := s.Set(ctx, Want{}); err != nil {
				return err
			}
			if err := s.Sleep(ctx, after); err != nil {
				return err
			}
			return s.change(ctx, Want{Procs: each(nodes, Killed)})
		}
	}
}
