package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

// flagNames finds the long names in the list of a command's flags.
var flagNames = regexp.MustCompile(`(?m)^ +(?:-\w, |    )--([a-z-]+)`)

// newRoot returns the whole command.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "netsim",
		Short: "A network lab in one unprivileged process",
		Long: `netsim runs network labs in one process: switches, routers, hosts, Docker engines and Swarm clusters that move real
packets as Docker and Linux do. It needs no root and no Docker, and leaves nothing behind.

A lab is a FILE in YAML, or the NAME of one of those that come with netsim ("netsim labs").
The exit status is 0 if everything held, 1 if a step or the lab failed, 2 after bad usage or for a bad topology.`,
		Example: `  netsim run pets-overlay                   # bring it up, play its steps, take it down
  netsim test topologies/                   # many, some at once
  netsim up pets-overlay &                  # leave it running
  netsim exec host-a -- ip route
  netsim down pets-overlay`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(runCommand(), upCommand(), testCommand(), execCommand(), shellCommand(), dockerEnvCommand(), explainCommand(), captureCommand(), linkCommand(), tapCommand(), swarmCommand(), psCommand(), downCommand(),
		validateCommand(), labsCommand(), graphCommand(), benchCommand(), versionCommand())
	if lab.Virtual {
		onlyVirtual(root)
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			refineHelp(cmd)
		case "completion":
			refineCompletion(cmd)
		}
	}
	return root
}

// refineHelp makes an unknown topic an error.
func refineHelp(cmd *cobra.Command) {
	cmd.Example = "  netsim help run"
	cmd.Run = nil
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		about, _, err := cmd.Root().Find(args)
		if err != nil {
			return usageError{err}
		}
		about.InitDefaultHelpFlag()
		return about.Help()
	}
}

// refineCompletion makes an unknown shell an error and gives examples.
func refineCompletion(cmd *cobra.Command) {
	cmd.Example = "  source <(netsim completion bash)"
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	for _, shell := range cmd.Commands() {
		shell.Example = fmt.Sprintf("  netsim completion %s", shell.Name())
	}
}

// flagError adds to an unknown flag the one that may have been meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown interface{ GetSpecifiedName() string }
	if !errors.As(err, &unknown) || !strings.HasPrefix(err.Error(), "unknown ") {
		return usageError{err}
	}
	var names []string
	for _, m := range flagNames.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		names = append(names, m[1])
	}
	hint := didYouMean(unknown.GetSpecifiedName(), names, "--")
	if hint == "" && strings.Contains(cmd.Use, "-- ") {
		hint = "; put -- in front of the command"
	}
	return usagef("%w%s", err, hint)
}

// didYouMean ends a message about an unknown name with known ones that are like it; prefix goes in front of each.
func didYouMean(name string, known []string, prefix string) string {
	c := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, k := range known {
		c.AddCommand(&cobra.Command{Use: k, Run: func(*cobra.Command, []string) {}})
	}
	var like []string
	for _, s := range c.SuggestionsFor(name) {
		like = append(like, fmt.Sprintf("%q", prefix+s))
	}
	if len(like) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(like, " or ") + "?"
}

// atLeast is cobra.MinimumNArgs in words that name what is missing.
func atLeast(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < n {
			return fmt.Errorf("%s is missing", what)
		}
		return nil
	}
}

// exactly is cobra.ExactArgs in words that name what is missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return fmt.Errorf("%q is too much; %s takes %s", args[n], cmd.CommandPath(), what)
		}
		return atLeast(n, what)(cmd, args)
	}
}

// nothing takes no arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is too much; %s takes no arguments", args[0], cmd.CommandPath())
	}
	return nil
}
