package host_test

import (
	"strings"
	"testing"

	"github.com/capstan-dev/capstan/cluster/agent/host"
)

// BenchmarkWatch is what it costs each time to look whether there are new
// processes in a container, among those of this machine.
func BenchmarkWatch(b *testing.B) {
	look := host.Watcher(strings.Repeat("0123456789abcdef", 4))
	for b.Loop() {
		must(b, look())
	}
}

// BenchmarkLook is the look at the clock of one process.
func BenchmarkLook(b *testing.B) {
	if !host.CanPatch {
		b.Skip("not on this processor")
	}
	for name, short := range map[string]bool{"known": true, "new": false} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				must(b, host.LookAtClock(short))
			}
		})
	}
}
