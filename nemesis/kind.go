package nemesis

import (
	"fmt"
	"strings"

	"github.com/capstan-dev/capstan/cluster"
)

// Kind is a family of faults that differ by their arguments.
type Kind struct {
	Name, Doc string
	// Params are the arguments that a fault of this kind takes. The first one
	// may be given without its name: NAME:VALUE or NAME(VALUE).
	Params []Param
	// make builds the fault from arguments that were read.
	make func(name string, v values) (Fault, error)
	// list is set where the arguments are faults themselves.
	list func(name string, faults []Fault) Fault
}

// Usage is like "kill(NODES, signal=...)".
func (k Kind) Usage() string {
	if k.list != nil {
		return k.Name + "(FAULT, FAULT, ...)"
	}
	if len(k.Params) == 0 {
		return k.Name
	}
	var all []string
	for i, p := range k.Params {
		what := p.What
		if len(p.Words) > 0 {
			what = strings.Join(p.Words, "|")
		}
		switch {
		case p.flag:
			all = append(all, p.Name)
		case i == 0:
			all = append(all, what)
		default:
			all = append(all, p.Name+"="+what)
		}
	}
	return k.Name + "(" + strings.Join(all, ", ") + ")"
}

// lacks is the error for a power that the cluster does not have.
func lacks(c *cluster.Cluster, power, what string) error {
	if why := c.Why[power]; why != "" {
		return fmt.Errorf("the target %s: %s", what, why)
	}
	return fmt.Errorf("the target %s", what)
}
