// Package lossy is a file system that forgets, as a disk does when the power
// fails: it passes everything through to a folder behind it, and can take back
// whatever was not synced. It can also be slow, full, read-only or fail with
// EIO.
//
// What survives a crash follows ext4 with ordered data: fsync and fdatasync
// keep the file's content and length, and, as there is one journal, every
// create, rename and removal that came before. Content that was not synced is
// lost however old it is, which no disk promises not to do. Not taken back are
// changes of mode, owner, times and extended attributes. sync(2) and syncfs(2)
// do not reach file systems in user space. Content that is synced after a sync
// that failed is kept.
package lossy
