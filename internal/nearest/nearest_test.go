package nearest_test

import (
	"testing"

	"github.com/capstan-dev/capstan/internal/nearest"
)

func TestName(t *testing.T) {
	names := []string{"partition", "kill", "pause", "register"}
	for want, best := range map[string]string{
		"partitoin": "partition", "kil": "kill", "pauze": "pause", "regster": "register",
		"zookeeper": "", "": "",
	} {
		if got := nearest.Name(want, names); got != best {
			t.Errorf("Name(%q) = %q, want %q", want, got, best)
		}
	}
	if h := nearest.Hint("kil", names); h != ` (did you mean "kill"?)` {
		t.Errorf("hint %q", h)
	}
}
