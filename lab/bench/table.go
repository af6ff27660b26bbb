package bench

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Table prints results for people.
func Table(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROW\tNETSIM\tPEER\tRATIO\tGOAL\tMET\tWORK") //nolint:errcheck // Flush tells
	for _, r := range results {
		if r.Points != nil {
			continue
		}
		//nolint:errcheck // Flush tells
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.own(), r.theirs(), r.ratio(), r.goals(), r.met(), r.Work)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if _, err := io.WriteString(w, r.notes()); err != nil {
			return err
		}
	}
	return nil
}

func figure(v float64, unit string) string {
	digits := 2
	switch {
	case v >= 1000:
		digits = 0
	case v < 0.1 && v > 0:
		digits = 4
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", digits, v, unit))
}

func (r Result) own() string {
	if r.Skipped != "" && r.Value == 0 {
		return "skipped"
	}
	return figure(r.Value, r.Unit)
}

func (r Result) theirs() string {
	switch {
	case r.Ratio > 0:
		return figure(r.PeerValue, r.Unit)
	case r.Skipped != "":
		return "skipped"
	}
	return "-"
}

func (r Result) ratio() string {
	if r.Ratio > 0 {
		return figure(r.Ratio, "") + "x"
	}
	return "-"
}

func (r Result) goals() string {
	var all []string
	for _, g := range r.Goals {
		sign := map[Direction]string{AtLeast: ">=", AtMost: "<="}[g.Direction]
		switch g.Of {
		case OfRatio:
			all = append(all, fmt.Sprintf("%s %gx", sign, g.Bound))
		case OfValue:
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s %g %s", sign, g.Bound, r.Unit)))
		default:
			all = append(all, fmt.Sprintf("%s %g %s", sign, g.Bound, g.Of))
		}
	}
	return cmp.Or(strings.Join(all, ", "), "-")
}

func (r Result) met() string {
	var all []string
	for _, g := range r.Goals {
		switch {
		case g.Met == nil:
			all = append(all, "-")
		case *g.Met:
			all = append(all, "yes")
		default:
			all = append(all, "NO")
		}
	}
	return cmp.Or(strings.Join(all, ", "), "-")
}

// notes are the lines below the table.
func (r Result) notes() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Extra)) {
		fmt.Fprintf(&b, "  %s: %s: %s\n", r.Name, name, figure(r.Extra[name], ""))
	}
	if r.Skipped != "" {
		fmt.Fprintf(&b, "  %s: %s\n", r.Name, r.Skipped)
	}
	if r.Points != nil {
		fmt.Fprintf(&b, "%s: %s, %s\n", r.Name, r.Work, r.Unit)
	}
	for _, p := range r.Points {
		fmt.Fprintf(&b, "  %6d  %s\n", p.At, figure(p.Value, ""))
	}
	return b.String()
}
