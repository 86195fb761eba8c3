//go:build !linux

package links

import (
	"net"
	"time"

	"github.com/capstan-dev/capstan/cluster/agent"
)

// New is a part that can do nothing: agents run in containers, which are
// Linux.
func New() agent.Part { return nobody{} }

type nobody struct{}

func (nobody) Verbs() map[string]agent.Verb { return nil }
func (nobody) Heal() error                  { return nil }

// Clock is a monotonic clock of this process.
func Clock() int64 { return int64(time.Since(start)) }

var start = time.Now()

// enlarge is for agents.
func enlarge(*net.UDPConn) {}
