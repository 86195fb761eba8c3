package spanner

import "io/fs"

// Classify is the mapping of errors.
func Classify(err error) error { return classify(err) }

// WithBinary is a folder with one more file in it.
func WithBinary(folder fs.FS, file string) fs.FS { return withBinary{folder, file} }

// SDKFolder is where this machine has the emulator.
func SDKFolder() string { return sdkFolder() }
