package spanner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/capstan-dev/capstan/history"
	"github.com/capstan-dev/capstan/targets"
	"github.com/capstan-dev/capstan/targets/conform"
	"github.com/capstan-dev/capstan/targets/spanner"
	"github.com/capstan-dev/capstan/workloads/txn"
)

func TestClassify(t *testing.T) {
	definite := map[codes.Code]bool{
		codes.Aborted: true, codes.AlreadyExists: true, codes.FailedPrecondition: true,
		codes.InvalidArgument: true, codes.NotFound: true, codes.OutOfRange: true,
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		err := fmt.Errorf("commit: %w", status.Error(code, "said the server"))
		got := spanner.Classify(err)
		if errors.Is(got, history.ErrNotApplied) != definite[code] || !errors.Is(got, err) {
			t.Errorf("%v becomes %v, want it definite: %t", code, got, definite[code])
		}
	}
	for _, err := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF} {
		if got := spanner.Classify(err); errors.Is(got, history.ErrNotApplied) {
			t.Errorf("%v becomes %v", err, got)
		}
	}
	if err := spanner.Classify(nil); err != nil {
		t.Errorf("no error becomes %v", err)
	}
}

func TestStaleness(t *testing.T) {
	for _, bad := range []string{"", "1", "-1s", "1h"} {
		_, err := spanner.Target{}.Start(t.Context(), targets.Spec{
			Topology: "emulator", Nodes: 1, Levels: map[string]string{"read": "exact-staleness", "staleness": bad},
		})
		if err == nil || !strings.Contains(err.Error(), "staleness") {
			t.Errorf("staleness %q: %v", bad, err)
		}
	}
}

// TestBuildContext: the emulator's binary is added to the Dockerfile's folder.
func TestBuildContext(t *testing.T) {
	file := filepath.Join(t.TempDir(), "emulator_main")
	conform.Must(t, os.WriteFile(file, []byte("a program"), 0o755))
	folder := spanner.WithBinary(fstest.MapFS{"Dockerfile": {Data: []byte("FROM x")}}, file)
	found := map[string]string{}
	conform.Must(t, fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		found[path] = string(content)
		return err
	}))
	if len(found) != 2 || found["Dockerfile"] != "FROM x" || found["emulator_main"] != "a program" {
		t.Errorf("the folder holds %v", found)
	}
}

// start brings up a ready emulator, which is removed at the end.
func start(t *testing.T, changes ...string) targets.System {
	t.Helper()
	needEmulator(t)
	changes = append(changes, "abort_current_transaction_probability=20")
	return conform.Start(t, spanner.Target{}, conform.Request(t, spanner.Target{}, "emulator", changes...), time.Minute)
}

func open(t *testing.T, s targets.System) *spanner.Conn {
	t.Helper()
	return conform.Open[*spanner.Conn](t, s, "n1", 5*time.Second)
}

// TestExactStaleness: a read is that old, and a transaction that writes is not.
func TestExactStaleness(t *testing.T) {
	s := start(t, "read=exact-staleness", "staleness=1s")
	if s.Claim() != "" || s.(targets.Isolation).Isolation() != "serializable" {
		t.Errorf("claims %q, %q", s.Claim(), s.(targets.Isolation).Isolation())
	}
	c := open(t, s)
	began := time.Now()
	conform.Must(t, c.Write(conform.Within(t, time.Second), 1, 7))
	if swap, err := c.CAS(conform.Within(t, time.Second), 1, 7, 8); err != nil || !swap.Done {
		t.Errorf("a transaction that writes does not see what is there: %v, %v", swap, err)
	}
	if v, ok, err := c.Read(conform.Within(t, time.Second), 1); time.Since(began) < time.Second && (err != nil || ok) {
		t.Errorf("read %d, %t, %v at once, want what was there a second ago: nothing", v, ok, err)
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for v := 0; v != 8; <-tick.C {
		var err error
		if v, _, err = c.Read(conform.Within(t, time.Second), 1); err != nil || time.Since(began) > 5*time.Second {
			t.Fatalf("read %d, %v after %v", v, err, time.Since(began))
		}
	}
	if took := time.Since(began); took < time.Second {
		t.Errorf("the write was to be seen after %v", took)
	}
}

// TestConflict: of two transactions that meet, one certainly did nothing.
func TestConflict(t *testing.T) {
	s := start(t, "read=strong", "staleness=1s")
	const workers, calls = 4, 50
	counts := make(chan [2]int, workers)
	for range workers {
		c := open(t, s)
		go func() {
			var n [2]int // done, not done
			for range calls {
				switch _, err := c.AppendTxn(context.Background(), []txn.Mop{{F: "append", Key: 1, Value: 5}}); {
				case err == nil:
					n[0]++
				case errors.Is(err, history.ErrNotApplied):
					n[1]++
				default:
					t.Errorf("append: %v", err)
				}
			}
			counts <- n
		}()
	}
	done, not := 0, 0
	for range workers {
		n := <-counts
		done, not = done+n[0], not+n[1]
	}
	t.Logf("%d done, %d aborted", done, not)
	mops, err := open(t, s).AppendTxn(conform.Within(t, time.Second), []txn.Mop{{F: "r", Key: 1}})
	conform.Must(t, err)
	if got := len(mops[0].List); got != done || done == 0 {
		t.Errorf("%d elements after %d appends", got, done)
	}
}
