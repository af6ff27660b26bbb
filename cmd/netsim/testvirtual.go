package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab/suite"
	"github.com/netsim-lab/netsim/lab/virtual"
)

// virtualPlayer plays labs in virtual time, each in a process of its own.
type virtualPlayer struct {
	program string
	flags   []string
	killed  chan struct{}
	stop    func()
}

func newVirtualPlayer(cmd *cobra.Command, o testOptions) (*virtualPlayer, error) {
	program, err := findVirtual()
	if err != nil {
		return nil, err
	}
	p := &virtualPlayer{program: program, flags: []string{cmd.Name(), "--json", "--jobs=1"}, killed: make(chan struct{})}
	p.stop = onSecondSignal(p.killed)
	if o.skip {
		p.flags = append(p.flags, "--skip-unable")
	}
	if o.seed != nil {
		p.flags = append(p.flags, "--seed="+strconv.FormatUint(*o.seed, 10))
	}
	return p, nil
}

// play plays a lab. The error is not nil if ctx ended first.
func (p *virtualPlayer) play(ctx context.Context, l suite.Lab) (*suite.Result, error) {
	var out, errs bytes.Buffer
	args := append(append([]string{}, p.flags...), "--", l.File)
	c := virtual.Command{Program: p.program, Args: args, Stdout: &out, Stderr: &errs, Kill: p.killed}
	status, err := c.Run(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var e labEvent
	if json.Unmarshal(firstOf(out.Bytes()), &e) == nil && e.Event == "lab" && err == nil && e.fits(l) {
		return &e.Result, nil
	}
	if err == nil {
		err = fmt.Errorf("netsim-virtual ended with status %d and no word on the lab", status)
	}
	reason := strings.TrimSpace(err.Error() + "\n" + clipText(errs.String()))
	return &suite.Result{Lab: l.Spec.Name, File: l.File, Status: suite.Broken, Reason: reason, Steps: []suite.Step{}}, nil
}

// fits tells whether the steps are those of a lab: its file may have changed meanwhile.
func (e *labEvent) fits(l suite.Lab) bool {
	for _, s := range e.Steps {
		if s.Step < 1 || s.Step > len(l.Spec.Steps) {
			return false
		}
	}
	return true
}

func firstOf(lines []byte) []byte {
	line, _, _ := bytes.Cut(lines, []byte("\n"))
	return line
}

// clipText is the beginning of a text: of a crash there may be much.
func clipText(text string) string {
	const most = 4000
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
