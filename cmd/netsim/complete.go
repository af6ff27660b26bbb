package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/topologies"
)

// completeTopologies offers the embedded labs, and files.
func completeTopologies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return topologies.Names(), cobra.ShellCompDirectiveDefault
}

// completeTopology is completeTopologies for one argument.
func completeTopology(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeTopologies(cmd, args, word)
}

// completeRunning offers the labs that run.
func completeRunning(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := lab.Running()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, info := range all {
		names = append(names, cobra.CompletionWithDesc(info.Name, info.Description))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeNode offers the nodes of the running lab that --lab names, or of all.
func completeNode(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeNames(cmd, args, func(running) []string { return nil })
}

// completeMachine is completeNode with the switches.
func completeMachine(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return completeNames(cmd, args, func(r running) []string { return r.Switches })
}

func completeNames(cmd *cobra.Command, args []string, switches func(running) []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := runningLabs(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	only, _ := cmd.Flags().GetString("lab") // a command with this completion has the flag
	var names []string
	for _, r := range all {
		if only != "" && r.Name != only {
			continue
		}
		for _, n := range r.Nodes {
			names = append(names, cobra.CompletionWithDesc(n.Name, string(n.Kind)+" "+n.Image))
		}
		for _, name := range switches(r) {
			names = append(names, cobra.CompletionWithDesc(name, string(lab.KindSwitch)))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeFlag offers fixed values for a flag of cmd.
func completeFlag(cmd *cobra.Command, flag string, values []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag is not there: a mistake in this program
	}
}
