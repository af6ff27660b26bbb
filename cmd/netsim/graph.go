package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

var graphFormats = []string{lab.GraphMermaid, lab.GraphDOT}

func graphCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "graph FILE|NAME",
		Short: "Draw a topology",
		Long: `Draw a topology: its cables, the TAP devices in it, and which networks its containers and services are on. Mermaid is what Markdown viewers
draw; DOT is for Graphviz. FILE may be - for standard input.`,
		Example: `  netsim graph pets-overlay
  netsim graph my.yaml --format dot | dot -Tsvg > my.svg`,
		Args:              exactly(1, "FILE|NAME"),
		ValidArgsFunction: completeTopology,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(graphFormats, format) {
				return usagef("no format %q; there are %s%s", format, strings.Join(graphFormats, " and "), didYouMean(format, graphFormats, ""))
			}
			spec, err := load(cmd, args[0])
			if err != nil {
				return err
			}
			text, err := lab.Graph(spec, format)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", lab.GraphMermaid, strings.Join(graphFormats, " or "))
	completeFlag(cmd, "format", graphFormats)
	return cmd
}
