package reports_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/capstan-dev/capstan/internal/require"
	"github.com/capstan-dev/capstan/reports"
)

// chromium runs the headless browser on a file and returns what it printed.
func chromium(t *testing.T, args ...string) string {
	t.Helper()
	bin, err := exec.LookPath("chromium")
	if err != nil {
		require.Skip(t, "chromium", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
		"--enable-logging=stderr", "--user-data-dir=" + t.TempDir()}, args...)
	cmd := exec.CommandContext(ctx, bin, all...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, errs.String())
	}
	for line := range strings.Lines(errs.String()) {
		if strings.Contains(line, "CONSOLE") {
			t.Errorf("the browser complains: %s", line)
		}
	}
	return out.String()
}

func writeReport(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := reports.HTML(&b, example(t)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBrowserOpensTheReportFromDisk(t *testing.T) {
	path := writeReport(t)
	netlog := filepath.Join(t.TempDir(), "net.json")
	dom := chromium(t, "--dump-dom", "--log-net-log="+netlog, "file://"+path)
	if !strings.Contains(dom, "<title>✗ VIOLATION · sim/async register · capstan</title>") {
		t.Error("the title is not the verdict: somebody's script ran, or the page is broken")
	}
	if n := strings.Count(dom, "<rect"); n < 50 {
		t.Errorf("the browser kept %d rectangles of the drawings", n)
	}
	b, err := os.ReadFile(netlog)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatal("the browser's network log is cut off; the page may have asked for more than it says")
	}
	for _, scheme := range []string{`"url":"http://`, `"url":"https://`} {
		for rest := string(b); ; {
			_, after, found := strings.Cut(rest, scheme)
			if !found {
				break
			}
			// The browser itself talks to its maker; the page may not.
			if host, _, _ := strings.Cut(after, "/"); !strings.Contains(host, "google") && !strings.Contains(host, "gvt1") {
				t.Errorf("the page asked for %s%s", scheme, host)
			}
			rest = after
		}
	}
}

// TestBrowserShowsVerdictAndWitnessAtOnce looks at the picture: at 1280 x 720,
// without scrolling, there is the red frame of the verdict, and below it the
// red edge of the witness.
func TestBrowserShowsVerdictAndWitnessAtOnce(t *testing.T) {
	path := writeReport(t)
	for _, dark := range []bool{false, true} {
		t.Run(fmt.Sprintf("dark=%v", dark), func(t *testing.T) {
			args := []string{"--window-size=1280,720"}
			bad, ground := [3]uint32{0xb3, 0x26, 0x1e}, [3]uint32{0xff, 0xff, 0xff}
			if dark {
				args = append(args, "--blink-settings=preferredColorScheme=0")
				bad, ground = [3]uint32{0xff, 0x8a, 0x80}, [3]uint32{0x14, 0x17, 0x1a}
			}
			shot := filepath.Join(t.TempDir(), "shot.png")
			chromium(t, append(args, "--screenshot="+shot, "file://"+path)...)
			img := readPNG(t, shot)
			if !near(img, 2, 2, ground) {
				t.Errorf("the background is %v", img.At(2, 2))
			}
			runs := redRuns(img, bad)
			if runs < 2 {
				t.Errorf("want the frame of the verdict and the edge of the witness within the window, found %d upright red lines", runs)
			}
		})
	}
}

func readPNG(t *testing.T, path string) image.Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func near(img image.Image, x, y int, want [3]uint32) bool {
	r, g, b, _ := img.At(x, y).RGBA()
	for i, c := range []uint32{r >> 8, g >> 8, b >> 8} {
		if c > want[i]+6 || c+6 < want[i] {
			return false
		}
	}
	return true
}

// redRuns counts upright lines of at least 30 pixels in the left margin.
func redRuns(img image.Image, red [3]uint32) int {
	runs := map[int]bool{} // by the y where each begins
	for x := range img.Bounds().Dx() / 4 {
		length := 0
		for y := range img.Bounds().Dy() {
			if near(img, x, y, red) {
				length++
				if length == 30 {
					runs[(y-29)/40] = true
				}
				continue
			}
			length = 0
		}
	}
	return len(runs)
}

func TestBrowserPrints(t *testing.T) {
	pdf := filepath.Join(t.TempDir(), "report.pdf")
	chromium(t, "--print-to-pdf="+pdf, "--no-pdf-header-footer", "file://"+writeReport(t))
	b, err := os.ReadFile(pdf)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("%PDF-")) || len(b) < 10000 {
		t.Errorf("no printed page: %d bytes", len(b))
	}
}
