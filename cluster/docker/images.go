package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/api/types/image"
)

// pullSilence is how long a pull may say nothing. A registry that cannot be
// reached must not hold up the local build for minutes.
const pullSilence = 20 * time.Second

// ErrNoImage marks an image that cannot be had.
var ErrNoImage = errors.New("image cannot be had")

// ImagePolicy says where images come from.
type ImagePolicy string

// Auto takes an image that is present, else pulls the official one, else
// builds one from the Dockerfile in this repository.
const (
	Auto     ImagePolicy = "auto"
	Official ImagePolicy = "official"
	Local    ImagePolicy = "local"
)

// ParseImagePolicy reads a policy; the empty one is Auto.
func ParseImagePolicy(s string) (ImagePolicy, error) {
	switch p := ImagePolicy(s); p {
	case "":
		return Auto, nil
	case Auto, Official, Local:
		return p, nil
	}
	return "", fmt.Errorf("image policy %q, want auto, official or local", s)
}

// Image is what a container needs: an official image, a Dockerfile that builds
// one alike, or both.
type Image struct {
	// Ref is the official image, e.g. "postgres:17". Empty if there is none.
	Ref string
	// Name is that of the locally built image; its tag is the hash of Files,
	// so that a changed Dockerfile is built anew.
	Name string
	// Files is the build's context with a Dockerfile at its root. nil if the
	// image cannot be built.
	Files fs.FS
	// Base, if set, is had first; the Dockerfile gets it as argument BASE.
	Base *Image
	// Roots gives the build the certificates that this machine trusts, as file
	// roots.pem, for builds that fetch over TLS: a network may have a root of
	// its own, which no image knows. They are for build stages only.
	Roots bool
}

// ImageFacts says what image was got, and how.
type ImageFacts struct {
	Ref string
	// ID is the hash of the image's configuration, Digest that of the
	// registry's manifest where it came from one.
	ID, Digest string
	// Origin is "present", "pulled" or "built".
	Origin string
	// Volumes are the paths that the image wants volumes at.
	Volumes []string
}

// EnsureImage makes the image be present.
func (e *Engine) EnsureImage(ctx context.Context, img Image) (ImageFacts, error) {
	official, local, archive, err := e.candidates(img)
	if err != nil {
		return ImageFacts{}, err
	}
	for _, ref := range []string{official, local} {
		if f, err := e.inspectImage(ctx, ref, "present"); err == nil {
			return f, nil
		}
	}
	var causes []error
	if official != "" {
		e.log.Info("pull image", "image", official)
		if err := e.pull(ctx, official); err == nil {
			return e.inspectImage(ctx, official, "pulled")
		} else {
			causes = append(causes, fmt.Errorf("pull %s: %w", official, err))
			e.log.Info("image is not to be pulled", "image", official, "cause", err)
		}
	}
	if local != "" {
		e.log.Info("build image", "image", local)
		if err := e.buildOn(ctx, img, local, archive); err == nil {
			return e.inspectImage(ctx, local, "built")
		} else {
			causes = append(causes, fmt.Errorf("build %s: %w", local, err))
		}
	}
	return ImageFacts{}, noImage(img, causes)
}

// candidates are the tags that the policy allows, and what to build the local
// one from.
func (e *Engine) candidates(img Image) (official, local string, archive []byte, err error) {
	local, archive, err = img.local()
	switch {
	case err != nil:
		return "", "", nil, err
	case img.Ref == "" || e.Images == Local:
		return "", local, archive, nil // nobody publishes it, or nobody wants that
	case e.Images == Official:
		return img.Ref, "", nil, nil
	}
	return img.Ref, local, archive, nil
}

func noImage(img Image, causes []error) error {
	if img.Ref == "" && img.Files == nil {
		causes = append(causes, errors.New("it cannot be built here, and no official one is named"))
	}
	name := img.Ref
	if name == "" {
		name = img.Name
	}
	return &Error{
		Doing: "get image " + name,
		Err:   fmt.Errorf("%w: %w", ErrNoImage, errors.Join(causes...)),
		Advice: "where there is no image registry, `.ci/engine up` makes debian:bookworm-slim from Debian packages, " +
			"from which the rest is built; CAPSTAN_IMAGES=auto|official|local says which images may be used.",
	}
}

// local is the tag and the context of the image to build; both empty if it
// cannot be built.
func (img Image) local() (ref string, archive []byte, err error) {
	if img.Files == nil {
		return "", nil, nil
	}
	base := ""
	if img.Base != nil {
		if base, _, err = img.Base.local(); err != nil {
			return "", nil, err
		}
		base += img.Base.Ref
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err = fs.WalkDir(img.Files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(img.Files, path)
		if err != nil {
			return err
		}
		// No times and owners: the hash is that of names and contents.
		h := tar.Header{Name: path, Mode: 0o755, Size: int64(len(content))}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return "", nil, fmt.Errorf("pack the build context of %s: %w", img.Name, err)
	}
	sum := sha256.Sum256(append([]byte(base), buf.Bytes()...))
	return img.Name + ":" + hex.EncodeToString(sum[:6]), buf.Bytes(), nil
}

func (e *Engine) inspectImage(ctx context.Context, ref, origin string) (ImageFacts, error) {
	if ref == "" {
		return ImageFacts{}, cerrdefs.ErrNotFound
	}
	got, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return ImageFacts{}, fmt.Errorf("inspect image %s: %w", ref, err)
	}
	f := ImageFacts{Ref: ref, ID: got.ID, Origin: origin}
	if got.Config != nil {
		f.Volumes = slices.Sorted(maps.Keys(got.Config.Volumes))
	}
	if len(got.RepoDigests) > 0 {
		f.Digest = got.RepoDigests[0]
	}
	return f, nil
}

func (e *Engine) pull(ctx context.Context, ref string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(pullSilence, func() {
		cancel(fmt.Errorf("registry said nothing for %v", pullSilence))
	})
	defer silence.Stop()
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{})
	if err == nil {
		defer body.Close()
		err = progress(body, func() { silence.Reset(pullSilence) })
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// buildOn builds an image, after it got what it is built on.
func (e *Engine) buildOn(ctx context.Context, img Image, ref string, archive []byte) (err error) {
	args := map[string]*string{}
	if img.Base != nil {
		got, err := e.EnsureImage(ctx, *img.Base)
		if err != nil {
			return err
		}
		args["BASE"] = &got.Ref
	}
	if img.Roots {
		if archive, err = withRoots(archive); err != nil {
			return err
		}
	}
	return e.build(ctx, ref, archive, args)
}

// build uses the classic builder, which every engine has. The host's network
// is for package managers: on some machines bridged containers have no way
// out.
func (e *Engine) build(ctx context.Context, ref string, archive []byte, args map[string]*string) error {
	resp, err := e.api.ImageBuild(ctx, bytes.NewReader(archive), build.ImageBuildOptions{
		Tags: []string{ref}, Version: build.BuilderV1, NetworkMode: "host",
		Remove: true, ForceRemove: true, BuildArgs: args,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return progress(resp.Body, func() {})
}

// outputKept is how many lines of a build's output an error quotes.
const outputKept = 15

// progress reads a stream of the engine's progress messages to its end. An
// error comes as a message inside the stream, after HTTP's success; it is
// returned with the last lines of output. step is called for each message.
func progress(r io.Reader, step func()) error {
	var lines []string
	for dec := json.NewDecoder(r); ; {
		var m struct{ Stream, Status, Error string }
		if err := dec.Decode(&m); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's progress: %w", err)
		}
		step()
		if m.Error != "" {
			return withOutput(m.Error, lines)
		}
		for l := range strings.Lines(m.Stream + m.Status) {
			if l = strings.TrimSpace(l); l != "" {
				lines = append(lines, l)
			}
		}
		if over := len(lines) - outputKept; over > 0 {
			lines = lines[over:]
		}
	}
}

func withOutput(text string, lines []string) error {
	if len(lines) == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("%s; the last lines of output:\n\t%s", text, strings.Join(lines, "\n\t"))
}
