package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

// labInfo is a line of labs.
type labInfo struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Guide       string `json:"guide,omitempty"`
	Steps       int    `json:"steps"`
}

func labsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "labs",
		Short: "List the labs that come with netsim",
		Long: `List the labs that come with netsim: their names, what they show, and which part of the Docker networking guide they
follow. Each name is good wherever a FILE is.

With --json it is one array: [{"name", "description", "guide", "steps"}].`,
		Example: `  netsim labs
  netsim labs --json | jq -r '.[].name'`,
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := embedded()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), all)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "NAME\tSTEPS\tSHOWS\tGUIDE") //nolint:errcheck // Flush tells
			for _, l := range all {
				fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", l.Name, l.Steps, l.Description, l.Guide) //nolint:errcheck // likewise
			}
			return t.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// embedded describes the labs that come with netsim.
func embedded() ([]labInfo, error) {
	all := []labInfo{}
	for _, name := range topologies.Names() {
		src, err := topologies.Open(name)
		if err != nil {
			return nil, err
		}
		spec, err := topology.Parse(name, src)
		if err != nil {
			return nil, err
		}
		all = append(all, labInfo{Name: name, Description: spec.Description, Guide: spec.Guide, Steps: len(spec.Steps)})
	}
	return all, nil
}
