package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// verdict is what validate says of one file.
type verdict struct {
	File   string    `json:"file"`
	Name   string    `json:"name,omitempty"`
	OK     bool      `json:"ok"`
	Errors []mistake `json:"errors,omitempty"`
}

// mistake is one error in a file; line and column are 0 where the file could not be read.
type mistake struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

func validateCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check topologies: every error at once, with its place",
		Long: `Check topologies without running anything. Every error of every file is told on standard error as file:line:col: text,
and every good file as a line on standard output. A FILE may be the name of a lab that comes with netsim, or - for
standard input. The exit status is 2 if any file is bad.

With --json standard output is one array with an object for each file:
  {"file", "name", "ok", "errors": [{"line", "column", "message"}]}`,
		Example: `  netsim validate my.yaml
  netsim validate labs/*.yaml
  netsim validate --json my.yaml | jq '.[].errors'
  cat my.yaml | netsim validate -`,
		Args:              atLeast(1, "FILE"),
		ValidArgsFunction: completeTopologies,
		RunE: func(cmd *cobra.Command, args []string) error {
			return validate(cmd, args, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

func validate(cmd *cobra.Command, files []string, asJSON bool) error {
	var all []verdict
	bad := false
	for _, file := range files {
		spec, err := load(cmd, file)
		if err == nil {
			err = lab.Check(spec)
		}
		v := judge(file, spec, err)
		all = append(all, v)
		bad = bad || !v.OK
		if asJSON {
			continue
		}
		if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), err) //nolint:errcheck // there is nobody else to tell
			continue
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: ok\n", file); err != nil {
			return err
		}
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), all); err != nil {
			return err
		}
	}
	if bad {
		return statusError(statusUsage)
	}
	return nil
}

// judge makes a verdict of what came of loading a file.
func judge(file string, spec *topology.Spec, err error) verdict {
	if err == nil {
		return verdict{File: file, Name: spec.Name, OK: true}
	}
	v := verdict{File: file}
	var list topology.Errors
	if !errors.As(err, &list) {
		v.Errors = []mistake{{Message: err.Error()}}
	}
	for _, e := range list {
		v.Errors = append(v.Errors, mistake{Line: e.Pos.Line, Column: e.Pos.Col, Message: e.Msg})
	}
	return v
}
