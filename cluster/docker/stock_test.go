package docker_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/capstan-dev/capstan/cluster/docker"
)

// TestImagesTravel builds an image on another one, and carries it away and back.
func TestImagesTravel(t *testing.T) {
	e := testEngine(t)
	base := docker.Image{Name: "capstan-test-travel-base", Files: fstest.MapFS{"Dockerfile": {Data: []byte("FROM scratch\nCOPY Dockerfile /base\n")}}}
	img := docker.Image{Name: "capstan-test-travel", Base: &base, Files: fstest.MapFS{
		"Dockerfile": {Data: []byte("ARG BASE\nFROM ${BASE}\nCOPY Dockerfile /top\n")},
	}}
	got, err := e.EnsureImage(t.Context(), img)
	must(t, err)
	stock, err := e.Stock(t.Context(), img)
	must(t, err)
	if stock.Present != got.Ref || stock.Local != got.Ref || stock.Official != "" || stock.Size == 0 {
		t.Errorf("stock %+v of %+v", stock, got)
	}
	var archive bytes.Buffer
	must(t, e.ExportImages(t.Context(), []string{got.Ref}, &archive))
	remove := func() {
		t.Helper()
		must(t, e.RemoveImage(t.Context(), got.Ref))
	}
	remove()
	if stock, err := e.Stock(t.Context(), img); err != nil || stock.Present != "" {
		t.Errorf("after its removal: %+v, %v", stock, err)
	}
	must(t, e.ImportImages(t.Context(), &archive))
	if again, err := e.EnsureImage(t.Context(), img); err != nil || again.ID != got.ID || again.Origin != "present" {
		t.Errorf("after its import: %+v, %v, want %+v", again, err, got)
	}
	remove()
	if err := e.ImportImages(t.Context(), strings.NewReader("no archive")); err == nil {
		t.Error("imported what is no archive")
	}
	// Another base makes another image.
	other := docker.Image{Name: base.Name, Files: fstest.MapFS{"Dockerfile": {Data: []byte("FROM scratch\nCOPY Dockerfile /other\n")}}}
	img.Base = &other
	if stock, err := e.Stock(t.Context(), img); err != nil || stock.Local == got.Ref {
		t.Errorf("on another base: %+v, %v", stock, err)
	}
}
