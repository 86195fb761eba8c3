package value_test

import (
	"encoding/json"
	"testing"

	"github.com/capstan-dev/capstan/checker/value"
)

func TestNames(t *testing.T) {
	n := value.NewNames()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"1", "1", true}, {"1", "2", false}, {"-0", "0", false}, {"1e2", "100.0", true}, {"100", "100.0", false},
		{`{"a":1,"b":[2, 3]}`, `{"b":[2,3],"a":1}`, true}, {`"1"`, "1", false}, {"null", "", true},
		{"123456789012345678901234567890", "123456789012345678901234567890", true}, {"007", "7", false}, {"true", "false", false},
	} {
		if got := n.Of(json.RawMessage(c.a)) == n.Of(json.RawMessage(c.b)); got != c.same {
			t.Errorf("%s and %s: same is %t", c.a, c.b, got)
		}
	}
	if n.Of(nil) != 0 || n.Text(n.Of(json.RawMessage("17"))) != "17" || n.Text(99) != "?" {
		t.Error("null is not 0, or a number lost its text")
	}
}
