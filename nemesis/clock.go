package nemesis

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
)

// Clock is the fault kind that shifts the wall clock of nodes.
func Clock() Kind {
	return Kind{
		Name: "clock",
		Doc:  "shift the wall clock of nodes, by 0.1 s to 100 s either way, small shifts as likely as large ones",
		Args: nodeSpecs(),
		New:  func(arg string) Fault { return clock{arg} },
	}
}

type clock struct{ spec string }

func (f clock) Name() string { return joinName("clock", f.spec) }

func (f clock) Applicable(c *cluster.Cluster) error {
	if c.Clocks == nil {
		return lacks(c, "Clocks", "cannot shift its nodes' clocks")
	}
	if f.spec == "primary" && c.Primaries == nil {
		return lacks(c, "Primaries", "does not say which node is primary")
	}
	return nil
}

func (f clock) Inject(ctx context.Context, c *cluster.Cluster, rng *rand.Rand) (history.FaultDetail, Undo, error) {
	detail := history.FaultDetail{Fault: f.Name()}
	nodes, err := pick(ctx, c, f.spec, rng)
	if err != nil {
		return detail, nothing(detail), err
	}
	detail.Nodes = nodes
	offsets := map[string]time.Duration{}
	for _, n := range nodes {
		offsets[n] = drawOffset(rng)
	}
	undo := func(ctx context.Context) (history.FaultDetail, error) {
		healed := detail
		err := setClocks(ctx, c, nodes, map[string]time.Duration{}, &healed)
		return healed, err
	}
	err = setClocks(ctx, c, nodes, offsets, &detail)
	return detail, undo, err
}

// drawOffset is log-uniform between 0.1 s and 100 s, with either sign.
func drawOffset(rng *rand.Rand) time.Duration {
	s := math.Pow(10, 3*rng.Float64()-1)
	if rng.IntN(2) == 0 {
		s = -s
	}
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

// setClocks sets the offsets and asks the nodes for their own time.
func setClocks(ctx context.Context, c *cluster.Cluster, nodes []string, want map[string]time.Duration, d *history.FaultDetail) error {
	d.Proven, d.Proof = false, ""
	var errs []error
	var seen []string
	proven := true
	for _, n := range nodes {
		errs = append(errs, c.Clocks.Skew(ctx, n, want[n]))
		got, err := c.Clocks.Offset(ctx, n)
		errs = append(errs, err)
		// The question takes time on the way, on a loaded machine a lot.
		const tolerance = 50 * time.Millisecond
		proven = proven && err == nil && (got-want[n]).Abs() < tolerance
		seen = append(seen, fmt.Sprintf("%s is %v off, %v wanted", n, got, want[n]))
	}
	d.Proven, d.Proof = proven, strings.Join(seen, ", ")
	return errors.Join(errs...)
}
