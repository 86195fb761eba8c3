package linear_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker"
	"github.com/capstan-dev/capstan/checker/linear"
	"github.com/capstan-dev/capstan/history"
)

// TestRecordedHistories judges the 102 histories of etcd 0.4 that Jepsen
// recorded and porcupine carries as test data. Porcupine calls these 23 of
// them linearizable, and no other.
func TestRecordedHistories(t *testing.T) {
	linearizable := []int{2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anishathalye/porcupine").Output()
	if err != nil {
		t.Fatalf("find porcupine's module: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "test_data", "jepsen", "etcd_*.log"))
	if err != nil || len(files) < 102 {
		t.Fatalf("porcupine's module has %d histories, %v", len(files), err)
	}
	c, err := linear.New("cas-register", linear.Options{})
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for _, file := range files {
		h := readEtcdLog(t, file)
		if len(h.Events) == 0 {
			continue // one of the logs has no operation
		}
		judged++
		number, err := strconv.Atoi(file[len(file)-7 : len(file)-4])
		if err != nil {
			t.Fatal(err)
		}
		want := checker.Invalid
		if slices.Contains(linearizable, number) {
			want = checker.Valid
		}
		if res := checker.Run(t.Context(), c, h); res.Verdict != want {
			t.Errorf("%s: got %v (%s), want %v", filepath.Base(file), res.Verdict, res.Reason, want)
		}
	}
	if judged != 102 {
		t.Errorf("judged %d histories, want 102", judged)
	}
}

var etcdLine = regexp.MustCompile(`^INFO\s+jepsen\.util - (\d+)\s+:(invoke|ok|fail|info)\s+:(\S+)\s+(.*)$`)

// readEtcdLog reads lines like "INFO jepsen.util - 3 :invoke :cas [0 4]".
func readEtcdLog(t *testing.T, path string) *history.History {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := &history.History{}
	for s := bufio.NewScanner(f); s.Scan(); {
		m := etcdLine.FindStringSubmatch(strings.TrimSpace(s.Text()))
		if m == nil {
			continue
		}
		var kind history.Kind
		if err := kind.UnmarshalText([]byte(m[2])); err != nil {
			t.Fatal(err)
		}
		process, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		value := strings.ReplaceAll(strings.TrimSpace(m[4]), " ", ",")
		if value == "nil" || !json.Valid([]byte(value)) {
			value = "null"
		}
		i := len(h.Events)
		h.Events = append(h.Events, history.Event{Index: i, Time: time.Duration(i), Process: process,
			Kind: kind, F: m[3], Value: json.RawMessage(value)})
	}
	return h
}
