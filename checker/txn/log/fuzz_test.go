package log_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/capstan-dev/capstan/checker/txn/log"
	"github.com/capstan-dev/capstan/history"
)

// Whatever the file holds: no panic. What the fast reader takes, the careful one
// takes too, and they read the same, in any number of parts.
func FuzzOpen(f *testing.F) {
	for _, text := range forms {
		f.Add([]byte(text))
	}
	f.Add([]byte(`[{:type :ok, :process 0, :value [[:w 1 2] [:r "x" 3.5] [:append [1] {:a 1}] [:r 5 (1 2)]]}`))
	f.Add([]byte("{:type :ok :process 1 :value [[:r 1 [1 2]]]}\n{:type :ok :process 2 :value [[:r 1 [2 1]] [:r 1 [1 3]]]}\n{:type :ok :process 1 :value [[:r 1 [1 3 4]]]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := log.Parts(bytes.NewReader(text), int64(len(text)), 1)
		if err != nil {
			return
		}
		want := show(l)
		for parts := 2; parts < 4; parts++ {
			p, err := log.Parts(bytes.NewReader(text), int64(len(text)), parts)
			if err == nil && show(p) != want {
				t.Errorf("in %d parts: %s\nwant %s", parts, show(p), want)
			}
		}
		path := filepath.Join(t.TempDir(), "history")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		h, _, err := history.Open(path)
		if err != nil {
			return
		}
		if careful, err := log.FromHistory(h); err == nil && len(careful.Txns) == len(l.Txns) && show(careful) != want {
			t.Errorf("as a history: %s\nwant %s", show(careful), want)
		}
	})
}
