package nemesis

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/internal/nearest"
)

// Kind is a family of faults that differ by an argument.
type Kind struct {
	Name, Doc string
	// Args lists the arguments that are allowed. No argument is always
	// allowed and means: the family's default, or any of them at random.
	Args []string
	New  func(arg string) Fault
}

// Parse makes the fault that a text NAME or NAME:ARG names.
func Parse(kinds []Kind, text string) (Fault, error) {
	name, arg, hasArg := strings.Cut(text, ":")
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
	if i < 0 {
		var names []string
		for _, k := range kinds {
			names = append(names, k.Name)
		}
		return nil, fmt.Errorf("unknown fault %q%s; there are: %s", name, nearest.Hint(name, names), strings.Join(names, ", "))
	}
	k := kinds[i]
	if hasArg && !slices.Contains(k.Args, arg) {
		return nil, fmt.Errorf("unknown %s %q%s; there are: %s", name, arg, nearest.Hint(arg, k.Args), strings.Join(k.Args, ", "))
	}
	return k.New(arg), nil
}

func joinName(kind, arg string) string {
	if arg == "" {
		return kind
	}
	return kind + ":" + arg
}

// lacks is the error for a power that the cluster does not have.
func lacks(c *cluster.Cluster, power, what string) error {
	if why := c.Why[power]; why != "" {
		return fmt.Errorf("the target %s: %s", what, why)
	}
	return fmt.Errorf("the target %s", what)
}

// nothing is the undo of a fault that was not injected at all.
func nothing(d history.FaultDetail) Undo {
	d.Proven, d.Proof = true, "nothing was injected"
	return func(context.Context) (history.FaultDetail, error) { return d, nil }
}
