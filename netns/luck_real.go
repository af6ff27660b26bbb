//go:build !faketime || !unix

package netns

import "io"

// secureLuck returns where a netstack's secrets and ports come from; nil: from the system.
func secureLuck(uint64) io.Reader { return nil }
