package docker

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
)

// rootsFile is where an Image with Roots finds the certificates.
const rootsFile = "roots.pem"

// rootsFiles are where systems keep the certificates that they trust.
func rootsFiles() []string {
	return []string{
		os.Getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt", // Debian and many others
		"/etc/pki/tls/certs/ca-bundle.crt",   // Fedora and its kin
		"/etc/ssl/ca-bundle.pem",             // openSUSE
		"/etc/ssl/cert.pem",                  // Alpine, macOS
	}
}

// roots are the certificates that this machine trusts; empty if they are not
// to be found.
func roots() []byte {
	for _, name := range rootsFiles() {
		if content, err := os.ReadFile(name); err == nil {
			return content
		}
	}
	return nil
}

// withRoots puts the machine's certificates before the files of a build's
// context. They are no part of its hash: what is built does not depend on them.
func withRoots(archive []byte) ([]byte, error) {
	content := roots()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	err := w.WriteHeader(&tar.Header{Name: rootsFile, Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = w.Write(content)
	}
	if err := errors.Join(err, w.Flush()); err != nil {
		return nil, err
	}
	return append(buf.Bytes(), archive...), nil
}
