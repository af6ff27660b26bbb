package dockercli

import (
	"sync"
	_ "unsafe" // for go:linkname

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Cobra keeps the completions of every flag that was ever made in a map of the process, and offers no way to take one out:
// 230 KB for each call of docker, and with them the lab that it was made in. The names are those of the version in go.mod;
// if another one has no such variables the program does not link.

//go:linkname flagCompletions github.com/spf13/cobra.flagCompletionFunctions
var flagCompletions map[*pflag.Flag]cobra.CompletionFunc

//go:linkname flagCompletionsMu github.com/spf13/cobra.flagCompletionMutex
var flagCompletionsMu *sync.RWMutex

// dropCompletions takes the completions of all flags of a tree of commands out of cobra's map.
func dropCompletions(root *cobra.Command) {
	flagCompletionsMu.Lock()
	defer flagCompletionsMu.Unlock()
	dropFlags(root)
}

func dropFlags(cmd *cobra.Command) {
	drop := func(f *pflag.Flag) { delete(flagCompletions, f) }
	cmd.Flags().VisitAll(drop)
	cmd.PersistentFlags().VisitAll(drop)
	for _, sub := range cmd.Commands() {
		dropFlags(sub)
	}
}
