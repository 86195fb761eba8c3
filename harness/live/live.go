// Package live serves a cluster that a person breaks by hand: one process
// keeps it, and with it the dead man's switch of its agents; commands of other
// processes reach it over a socket. There is no state file: a cluster whose
// process is dead is healed by its agents and swept away by the next start.
package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/capstan-dev/capstan/history"
)

// Status is what a cluster is like now.
type Status struct {
	// Name is what commands call it; Target what runs, e.g. "postgres/async".
	Name, Target string
	PID          int
	Since        time.Time
	Nodes        []Node
	Faults       []Fault
}

// Node is one node of a cluster.
type Node struct {
	Name, Role string
	// State of its server process, or why it is not known.
	State   string
	Primary bool
	// Endpoints are where clients reach it.
	Endpoints []string
}

// Fault is one that was added.
type Fault struct {
	history.FaultDetail
	// Since is when it was added, Until when it will heal by itself; zero if
	// somebody has to say so.
	Since, Until time.Time
	// Err says what went wrong with it.
	Err string
}

// names are also parts of file and container names.
var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$`)

// CheckName says whether a cluster may be called so.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("cluster name %q: want up to 63 letters, digits, - _ or ., the first a letter or digit", name)
	}
	return nil
}

// dir is where this user's sockets are.
func dir() string {
	if d := os.Getenv("XDG_RUNTIME_DIR"); d != "" {
		return filepath.Join(d, "capstan")
	}
	return filepath.Join(os.TempDir(), "capstan-"+strconv.Itoa(os.Getuid()))
}

func socket(name string) string { return filepath.Join(dir(), name+".sock") }

// ErrNone says that no cluster is up.
var ErrNone = errors.New("no cluster is up; `capstan up TARGET` or `capstan attach` makes one")

// request is the body of one that adds a fault.
type request struct {
	Fault string `json:"fault"`
}

// failure is the body of an answer that is none.
type failure struct {
	Error string `json:"error"`
}
