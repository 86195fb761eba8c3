package spanner

import (
	"embed"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed image
var imageFiles embed.FS

// binary is the emulator's file, in the SDK and in both images.
const binary = "emulator_main"

// sdkFolder is where this machine has the emulator of a Google Cloud SDK, empty
// if it has none.
func sdkFolder() string {
	var folders []string
	if f := os.Getenv("CAPSTAN_SPANNER_EMULATOR"); f != "" {
		folders = []string{f}
	} else {
		const inSDK = "bin/cloud_spanner_emulator"
		if root := os.Getenv("CLOUDSDK_ROOT_DIR"); root != "" {
			folders = append(folders, filepath.Join(root, inSDK))
		}
		if gcloud, err := exec.LookPath("gcloud"); err == nil {
			if gcloud, err = filepath.EvalSymlinks(gcloud); err == nil {
				folders = append(folders, filepath.Join(filepath.Dir(filepath.Dir(gcloud)), inSDK))
			}
		}
		folders = append(folders, filepath.Join("/usr/lib/google-cloud-sdk", inSDK))
	}
	for _, f := range folders {
		if info, err := os.Stat(filepath.Join(f, binary)); err == nil && info.Mode().IsRegular() {
			return f
		}
	}
	return ""
}

// buildContext is the Dockerfile with the emulator's binary, which is read when
// the image is packed only. nil without an SDK: then there is the official image
// alone.
func buildContext() fs.FS {
	folder := sdkFolder()
	if folder == "" {
		return nil
	}
	dockerfile, err := fs.Sub(imageFiles, "image")
	if err != nil {
		panic("spanner: embedded image files: " + err.Error())
	}
	return withBinary{dockerfile, filepath.Join(folder, binary)}
}

// withBinary is a folder with one more file in it.
type withBinary struct {
	fs.FS
	file string
}

var _ fs.ReadDirFS = withBinary{}

// Open implements fs.FS.
func (w withBinary) Open(name string) (fs.File, error) {
	if name == binary {
		return os.Open(w.file)
	}
	return w.FS.Open(name)
}

// ReadDir implements fs.ReadDirFS.
func (w withBinary) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	if err != nil || name != "." {
		return entries, err
	}
	info, err := os.Stat(w.file)
	if err != nil {
		return nil, err
	}
	return append(entries, fs.FileInfoToDirEntry(info)), nil
}
