//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package lab

import "io/fs"

// ownedByUser cannot be told here; the user's own temporary directory is what keeps others out.
func ownedByUser(fs.FileInfo) bool { return true }

func openToOthers(fs.FileInfo) bool { return false }

// lockDir does nothing here: of two labs that claim one name at the same moment, the second fails to listen.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
