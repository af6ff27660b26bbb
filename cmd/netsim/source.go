package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

const (
	stdinArg  = "-"
	stdinName = "stdin"
	// maxTopology bounds what is read from standard input; a larger text is refused by its size anyway.
	maxTopology = 2 << 20
)

// load reads the topology that an argument means: a file, the name of an embedded one, or standard input.
func load(cmd *cobra.Command, arg string) (*topology.Spec, error) {
	if arg == stdinArg {
		src, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxTopology))
		if err != nil {
			return nil, fmt.Errorf("read topology from standard input: %w", err)
		}
		return topology.Parse(stdinName, src)
	}
	fi, err := os.Stat(arg)
	if err == nil && !fi.IsDir() {
		spec, err := topology.Load(arg)
		return spec, unreadable(err)
	}
	if src, err := topologies.Open(arg); err == nil {
		return topology.Parse(arg, src)
	}
	switch {
	case err == nil:
		return nil, usagef("%s is a directory; name a file in it", arg)
	case !os.IsNotExist(err):
		return nil, unreadable(err)
	}
	return nil, usagef("no file %s, and no lab has that name%s", arg, labHint(arg))
}

// unreadable makes an error of the file system one of the command line; mistakes in a topology it leaves as they are.
func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// labHint helps with the name of an embedded lab.
func labHint(name string) string {
	if hint := didYouMean(name, topologies.Names(), ""); hint != "" {
		return hint
	}
	return `; "netsim labs" lists them`
}
