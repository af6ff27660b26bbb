package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

// patience is how long a command waits for what should take no time.
const patience = 10 * time.Second

// running is a lab that runs, with its nodes.
type running struct {
	lab.Info
	Nodes []lab.NodeInfo `json:"nodes"`
}

func psCommand() *cobra.Command {
	var asJSON, withNodes bool
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the running labs",
		Long: `List the running labs of this user: name, process, since when, and how many nodes. With --nodes each lab's nodes follow:
the names that exec and shell take, what they are, and their addresses.

With --json it is one array:
  [{"name", "description", "pid", "started", "dir",
    "listening": [{"kind", "listen", "node", "port", "remote", "vni"}], "switches": [NAME...],
    "nodes": [{"name", "kind", "host", "container", "id", "image", "docker", "netns",
               "interfaces": [{"name", "mac", "mtu", "up", "addresses"}]}]}]`,
		Example: `  netsim ps
  netsim ps --nodes
  netsim ps --json | jq -r '.[].nodes[].name'`,
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := runningLabs(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tPID\tSINCE\tNODES") //nolint:errcheck // Flush tells
			for _, r := range all {
				fmt.Fprintf(t, "%s\t%d\t%s\t%d\n", r.Name, r.PID, r.Started.Local().Format(time.DateTime), len(r.Nodes)) //nolint:errcheck // likewise
			}
			if withNodes {
				printNodes(t, all)
			}
			return t.Flush()
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON array")
	f.BoolVar(&withNodes, "nodes", false, "list the nodes of each lab, too")
	return cmd
}

// runningLabs asks every lab that runs for its nodes.
func runningLabs(ctx context.Context) ([]running, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	infos, err := lab.Running()
	if err != nil {
		return nil, err
	}
	all := []running{}
	for _, info := range infos {
		nodes, err := nodesOf(ctx, info.Name)
		if errors.Is(err, lab.ErrNotRunning) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		all = append(all, running{info, nodes})
	}
	return all, nil
}

// nodesOf returns the nodes of a running lab.
func nodesOf(ctx context.Context, name string) ([]lab.NodeInfo, error) {
	c, err := lab.Dial(name)
	if err != nil {
		return nil, err
	}
	return c.Nodes(ctx)
}

func printNodes(t *tabwriter.Writer, all []running) {
	for _, r := range all {
		fmt.Fprintf(t, "\n%s\n", r.Name)                      //nolint:errcheck // Flush tells
		fmt.Fprintln(t, "NODE\tKIND\tHOST\tIMAGE\tADDRESSES") //nolint:errcheck // likewise
		for _, n := range r.Nodes {
			image := n.Image
			if image == "" {
				image = "-"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", n.Name, n.Kind, n.Host, image, addresses(n)) //nolint:errcheck // likewise
		}
	}
}

// addresses lists a node's addresses but for those of lo.
func addresses(n lab.NodeInfo) string {
	var all []string
	for _, i := range n.Ifaces {
		if i.Name == "lo" {
			continue
		}
		for _, a := range i.Addrs {
			all = append(all, i.Name+"="+a)
		}
	}
	return strings.Join(all, " ")
}

func downCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "down [NAME]",
		Short: "End a running lab",
		Long: `End a running lab, and return once it and all that it had is gone. The NAME may be left out where one lab runs; it is the
name that "netsim ps" shows.`,
		Example: `  netsim down pets-overlay
  netsim down`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("%q is too much; %s takes one lab", args[1], cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeRunning,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := lab.Dial(strings.Join(args, ""))
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			if err := c.Down(ctx); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is down\n", c.Info().Name)
			return err
		},
	}
}
