package docker

import (
	"context"
	"fmt"
	"io"

	cerrdefs "github.com/containerd/errdefs"
)

// Stock says of an image what there is of it, without getting it.
type Stock struct {
	// Official and Local are the tags that it can have; empty if it cannot be
	// pulled, or not be built.
	Official, Local string
	// Present is the tag that EnsureImage would take, empty if there is none
	// yet.
	Present string
	// Size of the present one in bytes, the layers that it shares included.
	Size int64
}

// Stock looks for an image.
func (e *Engine) Stock(ctx context.Context, img Image) (Stock, error) {
	official, local, _, err := e.candidates(img)
	if err != nil {
		return Stock{}, err
	}
	s := Stock{Official: official, Local: local}
	for _, ref := range []string{official, local} {
		if ref == "" {
			continue
		}
		got, err := e.api.ImageInspect(ctx, ref)
		switch {
		case err == nil:
			s.Present, s.Size = ref, got.Size
			return s, nil
		case !cerrdefs.IsNotFound(err):
			return s, fmt.Errorf("inspect image %s: %w", ref, err)
		}
	}
	return s, nil
}

// ExportImages writes images that are present as one tar archive, with each
// layer once.
func (e *Engine) ExportImages(ctx context.Context, refs []string, w io.Writer) error {
	r, err := e.api.ImageSave(ctx, refs)
	if err != nil {
		return fmt.Errorf("export images: %w", err)
	}
	defer r.Close()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("export images: %w", err)
	}
	return nil
}

// ImportImages reads what ExportImages wrote.
func (e *Engine) ImportImages(ctx context.Context, r io.Reader) error {
	resp, err := e.api.ImageLoad(ctx, r)
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	defer resp.Body.Close()
	if err := progress(resp.Body, func() {}); err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	return nil
}
