package pglocal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	memory = "/dev/shm"
	// enough is how much of it must be free for a cluster to live there, in bytes. A cluster of tests takes a few hundred MB.
	enough = 4 << 30
)

// folder is where the files of a cluster lie: in memory where there is enough of it, since every database is some hundred
// files that are made and removed again; "" is the folder for temporary files.
func folder() string {
	var there syscall.Statfs_t
	if err := syscall.Statfs(memory, &there); err != nil || there.Bavail*uint64(there.Bsize) < enough {
		return ""
	}
	forget(memory)
	return memory
}

// forget removes the clusters of processes that were killed, whose Postgres has ended since: memory is not to fill up.
// Postgres takes its socket out of the folder when it ends, so that one which is only started anew has changed just now.
func forget(in string) {
	old, _ := filepath.Glob(filepath.Join(in, prefix+"*"))
	for _, dir := range old {
		_, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid"))
		if about, dirErr := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && dirErr == nil && time.Since(about.ModTime()) > time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
}
