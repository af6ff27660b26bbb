package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

const (
	tick  = "✓"
	cross = "✗"
	// indent is in front of a step's command and output.
	indent = "    "
	// shownLines is how many lines of a step's output are shown unless all are asked for.
	shownLines = 24
	// keptOutput is how many bytes of a step's output are kept for showing.
	keptOutput = 1 << 20
)

// output passes text on, and ends the run when nobody takes it any more.
type output struct {
	w      io.Writer
	failed func(error)
}

func (o *output) write(text string) {
	if _, err := io.WriteString(o.w, text); err != nil {
		o.failed(err)
	}
}

func (o *output) printf(format string, args ...any) { o.write(fmt.Sprintf(format, args...)) }

// transcript tells people how a lab goes.
type transcript struct {
	out   *output
	paint painter
	spec  *topology.Spec
	all   bool // show all output
	width int  // of the terminal; 0: it is none

	try   int    // whose output is kept
	shown []byte // both streams as they came
}

func newTranscript(out *output, stream any, spec *topology.Spec, all bool) *transcript {
	t := &transcript{out: out, paint: newPainter(stream), spec: spec, all: all}
	if f, ok := stream.(*os.File); ok && bool(t.paint) {
		t.width, _, _ = term.GetSize(int(f.Fd())) // 0 if it cannot be told
	}
	return t
}

func (t *transcript) up(l *lab.Lab, took time.Duration) {
	text := t.spec.Name
	if t.spec.Description != "" {
		text += ": " + t.spec.Description
	}
	t.out.printf("%s\n%s\n", t.paint.paint(bold, text),
		t.paint.paint(faint, fmt.Sprintf("up with %s after %s", plural(len(l.Nodes()), "node"), seconds(took))))
	for _, d := range l.Listening() {
		t.out.printf("%s\n", d)
	}
	t.out.write("\n")
}

// StepStarted shows on a terminal what is going on.
func (t *transcript) StepStarted(_ int, step *topology.Step) {
	t.try, t.shown = 0, t.shown[:0]
	if line := "… " + step.Name; len(line) < t.width {
		t.out.write(t.paint.paint(faint, line))
	}
}

// Output keeps what the last try prints.
func (t *transcript) Output(_, try int, _ lab.Stream, data []byte) {
	if try != t.try {
		t.try, t.shown = try, t.shown[:0]
	}
	t.shown = append(t.shown, data[:min(len(data), keptOutput-len(t.shown))]...)
}

// StepDone shows the step.
func (t *transcript) StepDone(r lab.StepResult) {
	if t.width > 0 {
		t.out.write("\r\x1b[K")
	}
	mark := t.paint.paint(green, tick)
	if !r.Passed {
		mark = t.paint.paint(red, cross)
	}
	note := ""
	if r.Tries > 1 {
		note = t.paint.paint(faint, fmt.Sprintf(" (%d tries, %s)", r.Tries, seconds(r.Elapsed)))
	}
	t.out.printf("%s %s%s\n", mark, r.Step.Name, note)
	t.command(r.Step)
	t.output(r.Passed)
	if r.Passed {
		return
	}
	for line := range strings.Lines(r.Reason) {
		t.out.printf("%s%s\n", indent, t.paint.paint(red, "! "+strings.TrimRight(line, "\n")))
	}
	t.out.printf("%s%s\n", indent, t.paint.paint(faint, "  "+r.Step.Pos.String()))
}

// command shows what a step runs as it would be typed, or what it asks of the network.
func (t *transcript) command(s *topology.Step) {
	for _, line := range s.Change.Lines() {
		t.out.printf("%s%s\n", indent, t.paint.paint(faint, "# "+line))
	}
	if s.On.Text == "" {
		return
	}
	prompt := s.On.Text + "$ "
	if s.Run == "" {
		t.out.printf("%s%s%s\n", indent, t.paint.paint(faint, prompt+"# "), strings.Join(verbs(&s.Expect), ", "))
		return
	}
	for line := range strings.Lines(strings.TrimRight(s.Run, "\n")) {
		t.out.printf("%s%s%s\n", indent, t.paint.paint(faint, prompt), strings.TrimRight(line, "\n"))
		prompt = "> "
	}
}

// verbs names what a step expects of the network.
func verbs(e *topology.Expect) []string {
	var all []string
	probes := func(verb string, list []topology.Probe) {
		for _, p := range list {
			text := verb + " " + p.Host
			if p.Port != 0 {
				text += fmt.Sprintf(":%d", p.Port)
			}
			if p.Proto == "udp" {
				text += "/udp"
			}
			all = append(all, text)
		}
	}
	probes("reachable", e.Reachable)
	probes("refused", e.Refused)
	probes("timeout", e.Timeout)
	for _, l := range e.DNS {
		all = append(all, "dns "+l.Name)
	}
	for _, d := range e.DroppedBecause {
		all = append(all, "dropped because "+d.Reason)
	}
	for _, s := range e.SourceSeen {
		all = append(all, "source seen "+s.Addr.String())
	}
	for _, s := range e.LBSpread {
		all = append(all, fmt.Sprintf("%d backends at %s:%d", s.Backends, s.To.Host, s.To.Port))
	}
	return all
}

// output shows what the last try printed: of a step that held the beginning, of one that failed the end.
func (t *transcript) output(passed bool) {
	text := bytes.TrimRight(t.shown, "\n")
	if len(text) == 0 {
		return
	}
	lines := bytes.Split(text, []byte("\n"))
	hidden := len(lines) - shownLines
	if t.all || hidden <= 1 {
		t.lines(lines)
		return
	}
	more := t.paint.paint(faint, fmt.Sprintf("... %d more lines; -v shows all", hidden))
	if passed {
		t.lines(lines[:shownLines])
		t.out.printf("%s%s\n", indent, more)
		return
	}
	t.out.printf("%s%s\n", indent, more)
	t.lines(lines[hidden:])
}

func (t *transcript) lines(lines [][]byte) {
	for _, l := range lines {
		if l = bytes.TrimRight(l, "\r"); len(l) == 0 {
			t.out.write("\n")
			continue
		}
		t.out.printf("%s%s\n", indent, l)
	}
}

func (t *transcript) skipped(why error) { t.out.printf("- %s was skipped: %v\n", t.spec.Name, why) }

func (t *transcript) kept(l *lab.Lab) {
	host := "HOST"
	for _, h := range t.spec.Fabric.Hosts {
		if !h.Remote.IsValid() {
			host = h.Name
			break
		}
	}
	t.out.printf("%s is running:\n", l.Name())
	t.table(func(w io.Writer) {
		for _, line := range [][2]string{
			{"exec " + host + " -- ip route", "a command in a node"},
			{"shell " + host, "a shell there"},
			{"ps --nodes", "its nodes"},
			{"down " + l.Name(), "its end, as Ctrl-C is here"},
		} {
			fmt.Fprintf(w, "  netsim %s\t%s\n", line[0], t.paint.paint(faint, line[1])) //nolint:errcheck // table tells
		}
	})
}

// table writes lines whose columns are separated by tabs.
func (t *transcript) table(write func(w io.Writer)) {
	w := tabwriter.NewWriter(t.out.w, 0, 0, 2, ' ', 0)
	write(w)
	if err := w.Flush(); err != nil {
		t.out.failed(err)
	}
}

func (t *transcript) dropped(all []lab.DropCount) {
	if len(all) == 0 {
		t.out.write("\nNo packet was dropped.\n")
		return
	}
	t.out.write("\nPackets dropped:\n")
	t.table(func(w io.Writer) {
		for _, d := range all {
			fmt.Fprintf(w, "  %d\t%s\t%s\n", d.Frames, d.Reason, d.Place) //nolint:errcheck // table tells
		}
	})
}

func (t *transcript) end(sum lab.Summary, played bool, took time.Duration) {
	if !played {
		return
	}
	mark, verdict := t.paint.paint(green, tick), "all held"
	if !sum.OK() {
		mark, verdict = t.paint.paint(red, cross), fmt.Sprintf("%d held, %d failed", sum.Passed, sum.Failed)
	}
	t.out.printf("\n%s %s: %s, %s, in %s\n", mark, t.spec.Name, plural(sum.Passed+sum.Failed, "step"), verdict, seconds(took))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// seconds writes a time as people read it.
func seconds(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
