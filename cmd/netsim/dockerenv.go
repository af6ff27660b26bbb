package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

func dockerEnvCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "docker-env HOST",
		Short: "Point the docker command at a host of a running lab",
		Long: `Print the line that points a shell's docker command at the Docker engine of a HOST of a running lab. The engine is
served on a Unix socket that only this user can open, for as long as the lab runs; what it runs are the lab's own programs.
Where several labs run, the one with such a host is meant.

A context does the same for one command at a time:
  docker context create host-a --docker "host=$(netsim docker-env host-a | sed -n 's/^export DOCKER_HOST=//p')"
  docker --context host-a ps`,
		Example: `  eval "$(netsim docker-env host-a)"
  docker ps
  unset DOCKER_HOST                         # back to where docker pointed before`,
		Args:              exactly(1, "HOST"),
		ValidArgsFunction: completeDockerHost,
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := dockerSocket(cmd.Context(), name, args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			_, err = fmt.Fprintf(out, "export DOCKER_HOST=unix://%s\n# Run this to point docker at %s:\n# eval \"$(%s)\"\n",
				quoteWord(socket), args[0], envLine(name, args[0]))
			return err
		},
	}
	addLabFlag(cmd, &name)
	return cmd
}

// envLine is the command itself, as the user gave it.
func envLine(name, host string) string {
	if name != "" {
		return fmt.Sprintf("netsim docker-env --lab %s %s", name, host)
	}
	return "netsim docker-env " + host
}

// quoteWord makes a path one word of a shell.
func quoteWord(path string) string {
	if !strings.ContainsAny(path, " \t\n'\"\\$`!*?[](){}<>|&;~#") {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// dockerSocket finds the socket of a host's engine. Where several labs run and none is named, it is that of the one that has
// such a host.
func dockerSocket(ctx context.Context, name, host string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if name == "" {
		if all, err := runningLabs(ctx); err == nil && len(all) > 1 {
			if name, err = labOfEngine(all, host); err != nil {
				return "", err
			}
		}
	}
	c, err := lab.Await(ctx, name, startingUp)
	if err != nil {
		return "", err
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return "", err
	}
	var engines []string
	for _, n := range nodes {
		switch {
		case n.Name == host && n.Docker != "":
			return n.Docker, nil
		case n.Docker != "":
			engines = append(engines, n.Name)
		}
	}
	if len(engines) == 0 {
		return "", fmt.Errorf("no host of the lab %s has a Docker engine on a socket: give one \"engine: docker\", "+
			"or set XDG_RUNTIME_DIR to a shorter directory", c.Info().Name)
	}
	return "", fmt.Errorf("%q is no host with a Docker engine%s; these are: %s", host, didYouMean(host, engines, ""), strings.Join(engines, ", "))
}

// labOfEngine returns the only lab with a host of that name that has an engine.
func labOfEngine(all []running, host string) (string, error) {
	var labs, engines, known []string
	for _, r := range all {
		for _, n := range r.Nodes {
			if n.Docker == "" {
				continue
			}
			engines = append(engines, n.Name)
			known = append(known, fmt.Sprintf("%s of %s", n.Name, r.Name))
			if n.Name == host {
				labs = append(labs, r.Name)
			}
		}
	}
	switch len(labs) {
	case 1:
		return labs[0], nil
	case 0:
		return "", fmt.Errorf("no lab that runs has a host %q with a Docker engine%s; these are: %s", host, didYouMean(host, engines, ""), strings.Join(known, ", "))
	}
	return "", fmt.Errorf("the labs %s each have a host %q: say which with --lab NAME", strings.Join(labs, ", "), host)
}

// completeDockerHost offers the hosts that have an engine.
func completeDockerHost(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
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
		for _, n := range r.Nodes {
			if n.Docker != "" && (only == "" || r.Name == only) {
				names = append(names, n.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
