package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

func swarmCommand() *cobra.Command {
	var name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "swarm [NODE]",
		Short: "Show the swarm of a running lab: raft and gossip, as each node knows them",
		Long: `Show how the hosts of a running lab stand to their swarm, each as it knows it itself: of managers the state of raft, its term,
whom it voted for, whom it follows, and how far its log is agreed on (commit) and there (last); of all nodes how many others they
hold for alive, suspect and dead, and how many entries are in the tables that they gossip about. Where nodes tell different things
somebody is cut off, or has not heard yet.

With NODE, all that this one knows: the managers, the members, and the tables of each network.

With --json it is one array, of one node if one is named:
  [{"host", "state", "error", "id", "cluster", "address", "manager", "sessions", "refused": {REASON: COUNT},
    "raft": {"state", "term", "vote", "leader", "first", "last", "commit", "applied", "snapshot",
             "peers": [{"host", "address", "leader", "reachable", "match"}]},
    "gossip": {"clock", "health", "alive", "suspect", "dead", "entries", "refused": {REASON: COUNT},
               "members": [{"host", "address", "state", "incarnation", "networks"}],
               "networks": [{"name", "members", "queued",
                             "tables": [{"name", "tombstones", "entries": [{"key", "owner", "ltime"}]}]}]}}]
Members and networks are there if a node is named.`,
		Example: `  netsim swarm
  netsim swarm manager1
  netsim swarm --json | jq -r '.[] | select(.raft.state == "Leader").host'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%q is too much; %s takes one node", args[1], cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: completeDockerHost,
		RunE: func(cmd *cobra.Command, args []string) error {
			return showSwarm(cmd.Context(), cmd.OutOrStdout(), name, strings.Join(args, ""), asJSON)
		},
	}
	addLabFlag(cmd, &name)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

func showSwarm(ctx context.Context, w io.Writer, name, host string, asJSON bool) error {
	c, err := lab.Await(ctx, name, startingUp)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := c.SwarmStatus(ctx, host)
	switch {
	case err != nil:
		return err
	case asJSON && all == nil:
		return printJSON(w, []lab.SwarmNode{})
	case asJSON:
		return printJSON(w, all)
	case len(all) == 0:
		_, err = fmt.Fprintln(w, "no host of the lab has an engine that could be in a swarm")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if host == "" {
		printSwarm(t, all)
	} else {
		printSwarmNode(t, &all[0])
	}
	return t.Flush()
}

// printSwarm prints a line for each node.
func printSwarm(w io.Writer, all []lab.SwarmNode) {
	fmt.Fprintln(w, "NODE\tSTATE\tROLE\tRAFT\tTERM\tVOTE\tLEADER\tCOMMIT\tLAST\tALIVE\tSUSPECT\tDEAD\tENTRIES") //nolint:errcheck // Flush tells
	for i := range all {
		n := &all[i]
		raft, gossip := "-\t-\t-\t-\t-\t-", "-\t-\t-\t-"
		if r := n.Raft; r != nil {
			raft = fmt.Sprintf("%s\t%d\t%s\t%s\t%d\t%d", r.State, r.Term, cmp.Or(r.Vote, "-"), cmp.Or(r.Leader, "-"), r.Commit, r.Last)
		}
		if g := n.Gossip; g != nil {
			gossip = fmt.Sprintf("%d\t%d\t%d\t%d", g.Alive, g.Suspect, g.Dead, g.Entries)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Host, n.State, swarmRole(n), raft, gossip) //nolint:errcheck // likewise
	}
}

func swarmRole(n *lab.SwarmNode) string {
	switch {
	case n.ID == "":
		return "-"
	case n.Manager:
		return "manager"
	}
	return "worker"
}

// printSwarmNode prints all that a node knows.
func printSwarmNode(w io.Writer, n *lab.SwarmNode) {
	p := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) } //nolint:errcheck // Flush tells
	p("%s is %s", n.Host, strings.Join(nonEmpty(n.State, swarmRole(n), n.ID, n.Addr), ", "))
	if n.Error != "" {
		p("error: %s", n.Error)
	}
	for _, reason := range slices.Sorted(maps.Keys(n.Refused)) {
		p("refused: %d requests, %s", n.Refused[reason], reason)
	}
	if r := n.Raft; r != nil {
		p("\nraft: %s in term %d, voted for %s, leader %s", r.State, r.Term, cmp.Or(r.Vote, "nobody"), cmp.Or(r.Leader, "none"))
		p("log: %d to %d, committed to %d, applied to %d, snapshot at %d", r.First, r.Last, r.Commit, r.Applied, r.Snapshot)
		p("MANAGER\tADDRESS\tLEADER\tREACHABLE\tMATCH")
		for _, m := range r.Peers {
			p("%s\t%s\t%v\t%v\t%d", m.Host, m.Addr, m.Leader, m.Reachable, m.Match)
		}
	}
	if n.Gossip != nil {
		printGossip(p, n.Gossip)
	}
}

func printGossip(p func(format string, args ...any), g *lab.SwarmGossip) {
	p("\ngossip: clock %d, health %d", g.Clock, g.Health)
	for _, reason := range slices.Sorted(maps.Keys(g.Refused)) {
		p("refused: %d packets, %s", g.Refused[reason], reason)
	}
	p("MEMBER\tADDRESS\tSTATE\tINCARNATION\tNETWORKS")
	for _, m := range g.Members {
		p("%s\t%s\t%s\t%d\t%s", m.Host, m.Addr, m.State, m.Incarnation, strings.Join(m.Networks, " "))
	}
	for _, net := range g.Networks {
		p("\nnetwork %s: %s; %d changes to spread", net.Name, strings.Join(net.Members, " "), net.Queued)
		for _, t := range net.Tables {
			p("%s: %d entries, %d deletions remembered", t.Name, len(t.Entries), t.Tombstones)
			for _, e := range t.Entries {
				p("  %s\t%s\t%d", e.Key, e.Owner, e.Ltime)
			}
		}
	}
}

// nonEmpty returns the texts that say something.
func nonEmpty(all ...string) (some []string) {
	for _, text := range all {
		if text != "" && text != "-" {
			some = append(some, text)
		}
	}
	return some
}
