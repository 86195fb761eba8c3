package arch

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/capstan-dev/capstan"

// layers lists the rows of the architecture, lowest first. A package imports
// only lower rows, and those above it in its own folder.
var layers = [][]string{
	{"history", "internal/nearest", "internal/require"},
	{"checker/linear/spec", "checker/linear/order/ranks", "checker/phase", "checker/value"},
	{"checker/linear/spec/spectest", "checker/linear/chain", "checker/linear/fifo", "checker/linear/hold", "checker/linear/objects",
		"checker/linear/order", "checker/linear/presence", "checker/linear/tally", "checker/linear/wgl"},
	{"checker/linear/kv"},
	{"checker/txn/log", "checker/txn/graph", "checker/txn/adya"},
	{"checker/txn/infer"},
	{"checker/txn/predicate"},
	{"checker/txn/explain"},
	{"checker", "workloads/gen", "cluster", "plan"},
	{"checker/monotonic"},
	{"cluster/agent/host/lossy"},
	{"cluster/agent"},
	{"workloads", "nemesis", "cluster/docker", "cluster/external", "cluster/sim"},
	{"workloads/longfork", "workloads/sequential"}, // on the verbs of others
	{"targets"},
	{"targets/deploy", "targets/oneconn", "targets/tables"},
	{"targets/conform"},
	{"targets/sim", "targets/postgres", "targets/mysql", "targets/cassandra", "targets/redis", "targets/dynamodb", "targets/spanner", "targets/riak", "targets/etcd"},
	{"harness", "reports"},
	{"cmd", "internal/arch"},
}

// fences name packages from outside that only one folder may import, and why.
var fences = map[string]struct{ folder, why string }{
	"github.com/docker/docker":                 {"cluster/docker", "the client library must be replaceable in one folder"},
	"github.com/hanwen/go-fuse":                {"cluster/agent/host/lossy", "only one package is a file system"},
	"github.com/spf13/cobra":                   {"cmd", "only the command line knows flags"},
	"github.com/jackc/pgx":                     {"targets/postgres", "a driver belongs to its target"},
	"github.com/go-sql-driver/mysql":           {"targets/mysql", "a driver belongs to its target"},
	"go.etcd.io/raft":                          {"targets/sim", "the protocol belongs to its target"},
	"go.etcd.io/etcd":                          {"targets/etcd", "a driver belongs to its target"},
	"github.com/gomodule/redigo":               {"targets/redis", "a driver belongs to its target"},
	"github.com/aws/aws-sdk-go-v2":             {"targets/dynamodb", "a driver belongs to its target"},
	"github.com/apache/cassandra-gocql-driver": {"targets/cassandra", "a driver belongs to its target"},
	"cloud.google.com/go/spanner":              {"targets/spanner", "a driver belongs to its target"},
	"github.com/anishathalye/porcupine":        {"checker/linear", "one package owns the search"},
	"gopkg.in/yaml.v3":                         {"plan", "the YAML library must be replaceable in one folder"},
}

type pkg struct {
	ImportPath, Dir, Doc, Name string
	Imports                    []string
	TestImports, XTestImports  []string
}

// folder is the package's path inside the module.
func folder(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Name,Imports,TestImports,XTestImports", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// row is the index of the layer that a folder belongs to, by its longest
// prefix in the list.
func row(dir string) (int, bool) {
	best, found, length := 0, false, -1
	for i, names := range layers {
		for _, n := range names {
			if inside(dir, n) && len(n) > length {
				best, found, length = i, true, len(n)
			}
		}
	}
	return best, found
}

func inside(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

func TestLayers(t *testing.T) {
	for _, p := range packages(t) {
		from := folder(p.ImportPath)
		mine, ok := row(from)
		if !ok {
			t.Errorf("%s is in no layer; add it to the list in this test", from)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module) {
				checkFence(t, from, imp)
				continue
			}
			to := folder(imp)
			theirs, _ := row(to)
			if theirs > mine || theirs == mine && !inside(from, to) && mine > 0 && mine < len(layers)-1 {
				t.Errorf("%s imports %s, which does not lie below it", from, to)
			}
		}
	}
}

func checkFence(t *testing.T, from, imp string) {
	t.Helper()
	for outside, f := range fences {
		if strings.HasPrefix(imp, outside) && !inside(from, f.folder) {
			t.Errorf("%s imports %s; only %s may: %s", from, imp, f.folder, f.why)
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" && p.Name != "arch" {
			t.Errorf("%s has no package comment", folder(p.ImportPath))
		}
		if strings.HasPrefix(p.Name, "util") || strings.HasPrefix(p.Name, "common") {
			t.Errorf("%s: a package is named for its one idea", folder(p.ImportPath))
		}
	}
}

// TestCatalogIsComplete finds folders and faults that exist but do not ship.
func TestCatalogIsComplete(t *testing.T) {
	root := moduleRoot(t)
	catalog, err := os.ReadFile(filepath.Join(root, "cmd/capstan/catalog.go"))
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{"gen", "deploy", "oneconn", "tables", "conform"} // what others are made with
	for _, parent := range []string{"targets", "workloads"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			imp := fmt.Sprintf("%q", path.Join(module, parent, e.Name()))
			if e.IsDir() && !slices.Contains(shared, e.Name()) && !strings.Contains(string(catalog), imp) {
				t.Errorf("%s/%s is not in the catalog: import %s in cmd/capstan/catalog.go and add it to all%s%s",
					parent, e.Name(), imp, strings.ToUpper(parent[:1]), parent[1:])
			}
		}
	}
	for _, kind := range faultKinds(t, filepath.Join(root, "nemesis")) {
		if line := "nemesis." + kind + "()"; !strings.Contains(string(catalog), line) {
			t.Errorf("fault %s is not in the catalog: add the line %q to allFaults in cmd/capstan/catalog.go", kind, line+",")
		}
	}
}

// faultKinds lists the exported functions of a package that make a Kind.
func faultKinds(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !f.Name.IsExported() || f.Type.Results == nil || len(f.Type.Params.List) > 0 {
				continue
			}
			if id, ok := f.Type.Results.List[0].Type.(*ast.Ident); ok && id.Name == "Kind" {
				names = append(names, f.Name.Name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("no fault kinds found: this test looks in the wrong place")
	}
	return names
}

// TestNoInit forbids init functions, which register things behind one's back.
func TestNoInit(t *testing.T) {
	err := filepath.WalkDir(moduleRoot(t), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find module root: %v", err)
	}
	return strings.TrimSpace(string(out))
}
