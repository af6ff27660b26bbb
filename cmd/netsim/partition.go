package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/netsim-lab/netsim/lab"
)

// parts tells whether the command is about partitions.
func (g *linkFlags) parts() bool { return g.heal || len(g.partition) > 0 }

// part parts hosts or ends that, and prints who is parted.
func (g *linkFlags) part(ctx context.Context, w io.Writer) error {
	r := lab.PartitionRequest{Heal: g.heal}
	for _, text := range g.partition {
		group := strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' })
		if len(group) == 0 {
			return usagef("--partition needs hosts: host-a,host-b")
		}
		r.Groups = append(r.Groups, group)
	}
	c, err := lab.Await(ctx, g.lab, startingUp)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := c.Partition(ctx, r)
	if err != nil {
		return err
	}
	if g.asJSON {
		type parted struct {
			A string `json:"a"`
			B string `json:"b"`
		}
		list := []parted{}
		for _, p := range all {
			list = append(list, parted(p))
		}
		return printJSON(w, list)
	}
	if len(all) == 0 {
		_, err = fmt.Fprintln(w, "no hosts are parted")
	}
	for _, p := range all {
		if _, err = fmt.Fprintf(w, "%s | %s\n", p.A, p.B); err != nil {
			break
		}
	}
	return err
}
