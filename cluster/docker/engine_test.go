package docker_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// hinted is an error with advice.
type hinted interface {
	error
	Hint() string
}

func wantHint(t *testing.T, err error, text, hint string) {
	t.Helper()
	h, ok := errors.AsType[hinted](err)
	if !ok || !strings.Contains(err.Error(), text) || !strings.Contains(h.Hint(), hint) {
		t.Errorf("got %v, want an error with %q and a hint with %q", err, text, hint)
	}
}

func TestUnreachable(t *testing.T) {
	socket := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	for _, host := range []string{socket, "tcp://127.0.0.1:1", "nonsense"} {
		t.Setenv("DOCKER_HOST", host)
		_, err := docker.Connect(t.Context(), nil)
		wantHint(t, err, "reach the Docker engine at "+host, ".ci/engine up")
	}
}

// TestContext finds the engine where Docker Desktop and its kin say it is.
func TestContext(t *testing.T) {
	dir := t.TempDir()
	// The folder's name is the SHA-256 of the context's.
	meta := filepath.Join(dir, "contexts", "meta", "fe9c6bd7a66301f49ca9b6a70b217107cd1284598bfc254700c989b916da791e")
	for path, content := range map[string]string{
		filepath.Join(dir, "config.json"): `{"currentContext": "desktop-linux"}`,
		filepath.Join(meta, "meta.json"):  `{"Name": "desktop-linux", "Endpoints": {"docker": {"Host": "unix:///nowhere/desktop.sock"}}}`,
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONFIG", dir)
	_, err := docker.Connect(t.Context(), nil)
	wantHint(t, err, "unix:///nowhere/desktop.sock", "DOCKER_HOST")
}

func TestBadPolicy(t *testing.T) {
	t.Setenv("CAPSTAN_IMAGES", "mine")
	if _, err := docker.Connect(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `policy "mine", want auto, official or local`) {
		t.Errorf("got %v", err)
	}
}

func TestDoctor(t *testing.T) {
	e := testEngine(t)
	facts, err := e.Facts(t.Context())
	if err != nil || facts.Version == "" || facts.API == "" || facts.Cgroup == "" || facts.Remote {
		t.Errorf("facts %+v, %v", facts, err)
	}
	t.Logf("%+v", facts)
}

func dockerfile(text string) fstest.MapFS {
	return fstest.MapFS{"Dockerfile": {Data: []byte(text)}}
}

func TestImages(t *testing.T) {
	e := testEngine(t)
	const nobody = "registry.invalid/nobody:1"

	_, err := e.EnsureImage(t.Context(), docker.Image{Ref: nobody})
	wantHint(t, err, "get image "+nobody+": image cannot be had: pull "+nobody, "CAPSTAN_IMAGES")
	if !errors.Is(err, docker.ErrNoImage) {
		t.Errorf("%v is not ErrNoImage", err)
	}

	broken := dockerfile("FROM debian:bookworm-slim\nRUN echo out of cheese && exit 7\n")
	_, err = e.EnsureImage(t.Context(), docker.Image{Ref: nobody, Name: "capstan-test-broken", Files: broken})
	wantHint(t, err, "out of cheese", "debian:bookworm-slim")
	if !strings.Contains(err.Error(), "returned a non-zero code: 7") || !strings.Contains(err.Error(), "pull "+nobody) {
		t.Errorf("build fails with %v", err)
	}

	_, err = e.EnsureImage(t.Context(), docker.Image{Name: "capstan-test-baseless", Files: dockerfile("FROM registry.invalid/nobody:1\n")})
	wantHint(t, err, "build capstan-test-baseless:", "debian:bookworm-slim")

	good := docker.Image{Ref: nobody, Name: "capstan-test-good", Files: dockerfile("FROM debian:bookworm-slim\nENV CAPSTAN_TEST=1\n")}
	first, err := e.EnsureImage(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	again, err := e.EnsureImage(t.Context(), good)
	if err != nil || again.Origin != "present" || again.ID != first.ID {
		t.Errorf("first %+v, then %+v, %v", first, again, err)
	}
	e.Images = docker.Official
	if _, err := e.EnsureImage(t.Context(), good); !errors.Is(err, docker.ErrNoImage) {
		t.Errorf("policy official took a local image: %v", err)
	}
}

// TestRoots: a build that asks for them gets this machine's certificates, and
// an image is the same whatever they are.
func TestRoots(t *testing.T) {
	e := testEngine(t)
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, []byte("a root of this network"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file)
	with := docker.Image{Name: "capstan-test-roots", Roots: true, Files: dockerfile(
		"FROM debian:bookworm-slim\nCOPY roots.pem /\nRUN grep -qx 'a root of this network' /roots.pem\n")}
	built, err := e.EnsureImage(t.Context(), with)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", "")
	if again, err := e.EnsureImage(t.Context(), with); err != nil || again.ID != built.ID || again.Origin != "present" {
		t.Errorf("with other roots: %+v, %v, want the image %s", again, err, built.ID)
	}
}

func TestServerThatCannotStart(t *testing.T) {
	e := testEngine(t)
	nodes := serverNodes(t, e, 2)
	nodes[1].Server.Entrypoint = []string{"/no/such/program"}
	id := runID(t)
	c, err := e.Start(t.Context(), docker.Spec{RunID: id, Nodes: nodes})
	if c == nil || err == nil || !strings.Contains(err.Error(), "n2: start server") || strings.Contains(err.Error(), "n1:") {
		t.Errorf("start: %v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := e.Clean(t.Context(), id); err != nil || !left.Empty() {
		t.Errorf("after close there was left: %v, %v", left, err)
	}
}

func TestBadSpec(t *testing.T) {
	e := testEngine(t)
	for _, s := range []docker.Spec{
		{RunID: "no spaces", Nodes: docker.Bare(1)},
		{RunID: "", Nodes: docker.Bare(1)},
		{RunID: "none"},
	} {
		if c, err := e.Start(t.Context(), s); c != nil || err == nil {
			t.Errorf("start of %+v: %v", s, err)
		}
	}
}
