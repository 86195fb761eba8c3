package wgl_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/checker/linear/spec"
	"github.com/capstan-dev/capstan/checker/linear/spec/spectest"
	"github.com/capstan-dev/capstan/checker/linear/wgl"
)

// recorded reads the histories of etcd 0.4 that porcupine carries, by number.
// Those of a cas that failed are opaque.
func recorded(t testing.TB) map[int][]spec.Op[in, out] {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anishathalye/porcupine").Output()
	if err != nil {
		t.Fatalf("find porcupine's module: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "test_data", "jepsen", "etcd_*.log"))
	if err != nil || len(files) < 102 {
		t.Fatalf("porcupine's module has %d histories, %v", len(files), err)
	}
	all := map[int][]spec.Op[in, out]{}
	for _, file := range files {
		var number int
		if _, err := fmt.Sscanf(filepath.Base(file), "etcd_%d.log", &number); err != nil {
			t.Fatal(err)
		}
		if ops := readLog(t, file); len(ops) > 0 {
			all[number] = ops
		}
	}
	return all
}

var line = regexp.MustCompile(`^INFO\s+jepsen\.util - (\d+)\s+:(invoke|ok|fail|info)\s+:(read|write|cas)\s+(.*)$`)

// readLog takes lines for moments. Values are the numbers plus 1, nil is 0.
func readLog(t testing.TB, path string) []spec.Op[in, out] {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var ops []spec.Op[in, out]
	open := map[string]int{} // process -> its operation
	at := int64(0)
	for s := bufio.NewScanner(f); s.Scan(); at++ {
		m := line.FindStringSubmatch(strings.TrimSpace(s.Text()))
		if m == nil {
			continue
		}
		if m[2] == "invoke" {
			open[m[1]] = len(ops)
			ops = append(ops, spec.Op[in, out]{In: parseIn(m[3], m[4]), Call: at, Return: spec.Never, Crashed: true})
			continue
		}
		o := &ops[open[m[1]]]
		switch {
		case m[2] == "info" || m[2] == "fail" && o.In.verb != cas:
			if m[2] == "fail" {
				o.Call = -1
			}
			continue
		case o.In.verb == cas:
			o.Out.ok = m[2] == "ok"
			if !o.Out.ok {
				o.Out.seen = opaque
			}
		case o.In.verb == read:
			o.Out.seen = parseValue(m[4])
		}
		o.Return, o.Crashed = at, false
	}
	return slices.DeleteFunc(ops, func(o spec.Op[in, out]) bool { return o.Call < 0 || o.In.verb == read && o.Crashed })
}

func parseValue(s string) int32 {
	var v int32
	if n, _ := fmt.Sscanf(s, "%d", &v); n == 0 {
		return 0
	}
	return v + 1
}

func parseIn(f, value string) in {
	switch f {
	case "write":
		return in{verb: write, new: parseValue(value)}
	case "cas":
		var a, b int32
		_, _ = fmt.Sscanf(value, "[%d %d]", &a, &b)
		return in{verb: cas, old: a + 1, new: b + 1}
	}
	return in{}
}

func TestRecordedHistories(t *testing.T) {
	linearizable := []int{2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102}
	all := recorded(t)
	if len(all) != 102 {
		t.Errorf("%d histories", len(all))
	}
	spent, slowest := time.Duration(0), time.Duration(0)
	for number, ops := range all {
		start := time.Now()
		f := wgl.Decide(register(), ops, spec.Budget{})
		took := time.Since(start)
		spent, slowest = spent+took, max(slowest, took)
		if (f.Outcome == spec.Legal) != slices.Contains(linearizable, number) {
			t.Errorf("etcd_%03d: %v", number, f.Outcome)
		}
		if f.Outcome != spec.Legal {
			continue
		}
		if err := spec.Verify(ops, f.Order, f.Assumed, object()); err != nil {
			t.Errorf("etcd_%03d: %v\n%s", number, err, spectest.Format(ops))
		}
	}
	t.Logf("%d histories took %v, the slowest %v", len(all), spent, slowest)
}
