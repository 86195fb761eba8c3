package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// DiskFull is the fault kind that lets writes fail for lack of space.
func DiskFull() Kind {
	return diskKind("disk-full", "let every write that needs space fail with ENOSPC",
		func(values) cluster.Disk { return cluster.Disk{Full: true} }, nodesParam("of", ""))
}

// DiskReadOnly is the fault kind that lets all writes fail.
func DiskReadOnly() Kind {
	return diskKind("disk-readonly", "let every write fail with EROFS",
		func(values) cluster.Disk { return cluster.Disk{ReadOnly: true} }, nodesParam("of", ""))
}

// DiskSlow is the fault kind that makes disks slow.
func DiskSlow() Kind {
	return diskKind("disk-slow", "add a delay to each read, write and sync",
		func(v values) cluster.Disk { return cluster.Disk{Delay: v.duration("delay")} },
		durationParam("delay", "10ms"), nodesParam("of", ""))
}

// DiskError is the fault kind that lets disks err at random.
func DiskError() Kind {
	return diskKind("disk-error", "let reads, writes and syncs fail with EIO at random",
		func(v values) cluster.Disk {
			return cluster.Disk{ReadErrors: v.number("read"), WriteErrors: v.number("write"), SyncErrors: v.number("sync")}
		},
		nodesParam("of", ""), chanceParam("read", "0"), chanceParam("write", "0"), chanceParam("sync", "0.1"))
}

func diskKind(name, doc string, state func(values) cluster.Disk, params ...Param) Kind {
	return Kind{Name: name, Doc: doc, Params: params, make: func(text string, v values) (Fault, error) {
		f := disk{name: text, spec: v.nodes("of"), state: state(v)}
		if f.state == (cluster.Disk{}) {
			return nil, errors.New("it would do nothing")
		}
		return f, nil
	}}
}

type disk struct {
	name  string
	spec  nodeSpec
	state cluster.Disk
}

func (f disk) Name() string { return f.name }

func (f disk) Applicable(c *cluster.Cluster) error {
	if c.Disks == nil {
		return lacks(c, "Disks", "cannot break its nodes' disks")
	}
	return errors.Join(c.Disks.Can(f.state), f.spec.check(c))
}

// Draw implements Fault.
func (f disk) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	return Action{Fault: f.name, Nodes: nodes, Want: Want{Disks: each(nodes, f.state)}}, err
}

// DiskDamage is the fault kind that damages data files.
func DiskDamage() Kind {
	return Kind{Name: "disk-damage",
		Doc: "flip bits in the data files of nodes, or cut their ends off; files: a pattern like *.wal; " +
			"it cannot be undone: the heal replaces the nodes where the system can do that, else it leaves them as they are",
		Params: []Param{nodesParam("of", "minority"), wholeParam("flips", "1", 0, 1_000_000), sizeParam("truncate", ""), textParam("files", "PATTERN", "")},
		make: func(name string, v values) (Fault, error) {
			f := damage{name: name, spec: v.nodes("of"), what: cluster.Damage{
				Files: v.text("files"), Flips: int(v.whole("flips")), Truncate: v.whole("truncate")}}
			if f.what.Flips == 0 && f.what.Truncate == 0 {
				return nil, errors.New("it would do nothing")
			}
			return f, nil
		}}
}

type damage struct {
	name string
	spec nodeSpec
	what cluster.Damage
}

// damageTold is how many places are named; the seed gives the others again.
const damageTold = 5

func (f damage) Name() string { return f.name }

func (f damage) Applicable(c *cluster.Cluster) error {
	if c.Disks == nil {
		return lacks(c, "Disks", "cannot damage its nodes' files")
	}
	return f.spec.check(c)
}

// Draw implements Fault.
func (f damage) Draw(ctx context.Context, c *cluster.Cluster, rng *rand.Rand, before []string) (Action, error) {
	nodes, err := f.spec.pick(ctx, c, rng, before)
	if err != nil {
		return Action{}, err
	}
	seeds := map[string]uint64{}
	for _, n := range nodes {
		seeds[n] = rng.Uint64()
	}
	do := func(ctx context.Context) (string, bool, error) {
		var seen []string
		proven := true
		for _, n := range nodes {
			what := f.what
			what.Seed = seeds[n]
			did, err := c.Disks.Damage(ctx, n, what)
			if err != nil {
				return "", false, fmt.Errorf("damage files of %s: %w", n, err)
			}
			proven = proven && len(did) > 0
			if more := len(did) - damageTold; more > 0 {
				did = append(did[:damageTold:damageTold], fmt.Sprintf("and %d more", more))
			}
			seen = append(seen, fmt.Sprintf("%s: %s", n, strings.Join(did, ", ")))
		}
		return strings.Join(seen, "; "), proven, nil
	}
	undo := func(ctx context.Context) (string, bool, error) {
		if c.Members == nil || c.Members.Remove == nil || c.Members.Add == nil {
			return "the damage stays: the target cannot replace a node", true, nil
		}
		return replaceNodes(ctx, c, nodes)
	}
	return Action{Fault: f.name, Nodes: nodes, Do: do, Undo: undo}, nil
}
