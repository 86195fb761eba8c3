// Package arch holds the tests of the architecture: which package may import
// which, that everything that ships is in the catalog, and that every package
// says what it is for. It has no code of its own.
package arch
