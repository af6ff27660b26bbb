package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab/bench"
)

func benchCommand() *cobra.Command {
	var (
		cfg    bench.Config
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure netsim beside this machine's kernel",
		Long: `Measure netsim, and beside it in the same run what the kernel of this machine does, and print the ratio. The kernel's
side needs root, iproute2 and iperf3; where it cannot be measured the reason is printed. Progress goes to standard
error.

With --json standard output is one array:
  [{"name", "work", "unit", "value", "extra": {NAME: FIGURE}, "points": [{"at", "value"}], "peer", "peerValue", "ratio",
    "skipped", "goals": [{"of", "direction", "bound", "met"}]}]`,
		Example: `  netsim bench
  sudo netsim bench --row tcp-bridge --rounds 5
  netsim bench --row start-1000 --json | jq '.[0].value'`,
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, row := range cfg.Rows {
				if rows := bench.Rows(); !slices.Contains(rows, row) {
					return usagef("no row %q; there are %s%s", row, strings.Join(rows, ", "), didYouMean(row, rows, ""))
				}
			}
			if cfg.Rounds < 1 || cfg.Duration <= 0 {
				return usagef("--rounds and --duration must be more than 0")
			}
			cfg.Progress = cmd.ErrOrStderr()
			results, err := bench.Run(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), results)
			}
			return bench.Table(cmd.OutOrStdout(), results)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&cfg.Rows, "row", nil, "measure only these: "+strings.Join(bench.Rows(), ", "))
	f.BoolVar(&cfg.Growth, "growth", false, "measure how throughput goes with hops, flows and containers, too")
	f.IntVar(&cfg.Rounds, "rounds", 3, "how often each side is measured; the median counts")
	f.DurationVar(&cfg.Duration, "duration", 2*time.Second, "how long one throughput measurement takes")
	f.BoolVar(&asJSON, "json", false, "print one JSON array")
	completeFlag(cmd, "row", bench.Rows())
	return cmd
}
