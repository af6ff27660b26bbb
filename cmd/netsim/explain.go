package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/explain"
)

// explainOptions say what is told.
type explainOptions struct {
	lab   string
	json  bool
	all   bool
	quiet bool
}

func explainCommand() *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain NODE -- COMMAND...",
		Short: "Run a command in a node and tell what happened to its packets",
		Long: `Run a command in a host, router, container or task of a running lab, as "netsim exec" does, and then tell hop by hop
what happened to every packet that it caused, there and back: which route it took, what switches and bridges knew, which
rule let it pass, what NAT and IPVS made of its addresses, which VXLAN tunnel carried it, where it was taken, or why
it was dropped and what would help. Answers are followed, and so is what programs send because of the command: a
name server that asks another, docker-proxy, a web page that asks its database.

Packets that went the same way are told once. --all tells every packet with every step and the whole text of rules and
routes. With --json standard output is the story alone, and the command's output goes to standard error. The exit status
is the command's.

` + nodeHelp,
		Example: `  netsim explain client -- curl -s http://192.168.1.3:8000/
  netsim explain dog-web.1 -- ping -c 1 dog-db
  netsim explain --quiet dog-web.1 -- ping -c 1 -W 1 10.2.0.2   # why does nobody answer?
  netsim explain --json client -- curl -s http://192.168.1.3:8000/ | jq -r '.flows[].packets[].steps[].kind'`,
		Args:              execArgs,
		ValidArgsFunction: completeMachine,
		RunE: func(cmd *cobra.Command, args []string) error {
			req := lab.ExecRequest{Node: args[0], Argv: args[1:]}
			if len(req.Argv) == 1 && isLine(req.Argv[0]) {
				req.Line, req.Argv = req.Argv[0], nil
			}
			return explainIn(cmd, req, o)
		},
	}
	addLabFlag(cmd, &o.lab)
	f := cmd.Flags()
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.BoolVarP(&o.all, "all", "a", false, "tell every packet and every step")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not show what the command prints")
	return cmd
}

// explainIn runs a command in a running lab, tells its story and ends with its status.
func explainIn(cmd *cobra.Command, req lab.ExecRequest, o explainOptions) error {
	ctx := cmd.Context()
	c, err := lab.Await(ctx, o.lab, startingUp)
	if err != nil {
		return err
	}
	std := shell.Stdio{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr()}
	printed := new(lastByte)
	std.Out, std.Err = printed.of(std.Out), printed.of(std.Err)
	if o.json {
		std.Out = std.Err
	}
	if o.quiet {
		std.Out, std.Err = io.Discard, io.Discard
	}
	story, exit, err := c.Explain(ctx, req, std)
	if story == nil {
		return err
	}
	if err != nil && len(story.Flows) == 0 && ctx.Err() == nil && !o.json {
		fmt.Fprintf(cmd.ErrOrStderr(), "netsim: %v\n", err) //nolint:errcheck // there is nobody else to tell
		return statusError(max(exit, statusFailed))
	}
	told := tellStory(cmd.OutOrStdout(), story, printed, o)
	switch {
	case told != nil:
		return told
	case ctx.Err() != nil:
		return statusError(statusInterrupted)
	case err != nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "netsim: %v\n", err) //nolint:errcheck // there is nobody else to tell
		return statusError(max(exit, statusFailed))
	case exit != statusOK:
		return statusError(exit)
	}
	return nil
}

// tellStory writes the story, with an empty line behind what the command printed.
func tellStory(w io.Writer, story *explain.Story, printed *lastByte, o explainOptions) error {
	if o.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(story)
	}
	gap := ""
	switch printed.last {
	case 0:
	case '\n':
		gap = "\n"
	default:
		gap = "\n\n"
	}
	if _, err := io.WriteString(w, gap); err != nil {
		return err
	}
	return story.Text(w, explain.TextOptions{All: o.all})
}

// lastByte knows what was written last, to any of several; 0: nothing.
type lastByte struct{ last byte }

// of returns a writer to w. One goroutine writes to all of them.
func (l *lastByte) of(w io.Writer) io.Writer { return lastByteWriter{l, w} }

type lastByteWriter struct {
	to *lastByte
	w  io.Writer
}

// Write implements io.Writer.
func (l lastByteWriter) Write(b []byte) (int, error) {
	if len(b) > 0 {
		l.to.last = b[len(b)-1]
	}
	return l.w.Write(b)
}
