package monotonic_test

import (
	"testing"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/monotonic"
	"github.com/capstan-dev/capstan/checker/transcript"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name, model, history string
		verdict              checker.Verdict
		kinds                string
	}{
		{"increments and reads", "", `
			0 invoke inc [5,null]
			0 ok inc [5,1]
			1 invoke read {"5":null,"6":null}
			1 ok read {"5":1,"6":0}`, checker.Valid, ""},
		{"two increments to one value", "", `
			0 invoke inc [5,null]
			1 invoke inc [5,null]
			0 ok inc [5,1]
			1 ok inc [5,1]
			1 invoke read {"5":null}
			1 ok read {"5":1}`, checker.Invalid, "lost-update[0 1 2 3]"},
		{"which read committed allows", "read-committed", `
			0 invoke inc [5,null]
			1 invoke inc [5,null]
			0 ok inc [5,1]
			1 ok inc [5,1]
			1 invoke read {"5":null}
			1 ok read {"5":1}`, checker.Valid, "lost-update[0 1 2 3]"},
		{"an old read", "", `
			0 invoke inc [5,null]
			0 ok inc [5,1]
			1 invoke read {"5":null}
			1 ok read {"5":0}`, checker.Invalid, "G-single-item-realtime[0 1 2 3]"},
		{"which serializability allows", "serializable", `
			0 invoke inc [5,null]
			0 ok inc [5,1]
			1 invoke read {"5":null}
			1 ok read {"5":0}`, checker.Valid, "G-single-item-realtime[0 1 2 3]"},
		{"a long fork", "snapshot-isolation", `
			0 invoke inc [5,null]
			1 invoke inc [6,null]
			2 invoke read {"5":null,"6":null}
			3 invoke read {"5":null,"6":null}
			2 ok read {"5":1,"6":0}
			3 ok read {"5":0,"6":1}
			0 ok inc [5,1]
			1 ok inc [6,1]`, checker.Invalid, "G-nonadjacent-item[0 1 2 3 4 5 6 7]"},
		{"a crashed increment that took effect", "", `
			0 invoke inc [5,null]
			0 info inc [5,null]
			1 invoke inc [5,null]
			1 ok inc [5,2]
			2 invoke read [[5,null],[6,null]]
			2 ok read [[5,2],[6,0]]`, checker.Valid, ""},
		{"two of them, in either order", "", `
			0 invoke inc [5,null]
			1 invoke read {"5":null}
			1 ok read {"5":0}
			2 invoke inc [5,null]
			2 info inc [5,null]
			0 info inc [5,null]
			1 invoke inc [5,null]
			1 ok inc [5,3]
			1 invoke read {"5":null}
			1 ok read {"5":3}
			3 invoke read {"5":null}
			3 ok read {"5":3}`, checker.Valid, ""},
		{"a value from nowhere", "", `
			0 invoke inc [5,null]
			0 fail inc [5,null]
			1 invoke inc [5,null]
			1 ok inc [5,2]
			2 invoke read {"5":null}
			2 ok read {"5":2}`, checker.Invalid, "garbage-read[2 3]"},
		{"nothing read", "", `
			0 invoke inc [5,null]
			0 ok inc [5,1]`, checker.Unknown, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := monotonic.New(c.model)
			if err != nil {
				t.Fatal(err)
			}
			res := checker.Run(t.Context(), m, transcript.Parse(t, c.history))
			if got := transcript.Kinds(res); res.Verdict != c.verdict || got != c.kinds {
				t.Errorf("%v %s: %s", res.Verdict, got, res.Reason)
			}
		})
	}
}
