package topologies_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/lab/topology"
	"github.com/netsim-lab/netsim/topologies"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

// guideCommands is how many commands the guide has.
const guideCommands = 121

// Verdicts on a command of the guide.
const (
	asShown    = "as shown"
	otherWords = "other words"
	notShown   = "not reproduced"
)

// labSteps is an embedded topology and what its steps run.
type labSteps struct {
	name  string
	guide string
	steps []stepCommands
}

type stepCommands struct {
	name     string
	fails    bool // as the lab expects
	commands []command
}

// conformance matches the guide's commands with the steps of labs.
type conformance struct {
	labs []*labSteps
	used map[string]bool // steps that show a command of this chapter, by the command
	last map[string]int  // by lab, the step that showed the last command of this chapter
}

// found is the step that shows a command.
type found struct {
	lab     *labSteps
	step    int
	counted bool
	as      string // the other words; empty: it is as typed
}

func embeddedSteps(t *testing.T) []*labSteps {
	t.Helper()
	var all []*labSteps
	for _, name := range topologies.Names() {
		src, err := topologies.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := topology.Parse(name+".yaml", src)
		if err != nil {
			t.Fatal(err)
		}
		l := &labSteps{name: name, guide: spec.Guide}
		for _, s := range spec.Steps {
			place := "host"
			if s.On.Container != "" || s.On.Service != "" {
				place = "container"
			}
			c := stepCommands{s.Name, !s.Expect.Status.Accepts(0), commandsOf(place, s.Run)}
			l.steps = append(l.steps, c)
		}
		all = append(all, l)
	}
	return all
}

// find returns the step that shows a command of a chapter, in the guide's words rather than in others: the first step after
// that of the command before, of a lab of the chapter, then of another; or an earlier one of a lab of the chapter, which may
// need things in another order. No step shows one command of a chapter twice, and one that fails shows only what is wrong
// in the guide.
func (c *conformance) find(ch *chapter, l *line) (found, bool) {
	for n, form := range append([]string{l.text}, l.as...) {
		place := l.place
		if place == "client" { // a host of the lab is the reader's machine
			place = "host"
		}
		want := commandsOf(place, form)
		for _, turn := range c.turns(ch) {
			lab, i := turn.lab, turn.step
			key := fmt.Sprintf("%s %d %s", lab.name, i, form)
			ok, counted := runs(lab.steps[i].commands, want)
			if !ok || c.used[key] || lab.steps[i].fails && l.erratum == "" {
				continue
			}
			c.used[key], c.last[lab.name] = true, i
			turn.counted = counted
			if n > 0 {
				turn.as = form
			}
			return turn, true
		}
	}
	return found{}, false
}

// turns returns the steps that may show the next command of a chapter, in the order of preference.
func (c *conformance) turns(ch *chapter) []found {
	var home, other, before []found
	for _, lab := range c.labs {
		if ch.only && lab.guide != ch.title && !slices.Contains(ch.labs, lab.name) {
			continue
		}
		for i := range lab.steps {
			f := found{lab: lab, step: i}
			switch later := i >= c.last[lab.name]; {
			case lab.guide == ch.title && later:
				home = append(home, f)
			case later:
				other = append(other, f)
			case lab.guide == ch.title:
				before = append(before, f)
			}
		}
	}
	return slices.Concat(home, other, before)
}

// runs tells whether a step runs the commands of a line, in their order.
func runs(step, want []command) (ok, counted bool) {
	for _, c := range step {
		if len(want) == 0 {
			break
		}
		if ok, n := same(want[0], c); ok {
			want, counted = want[1:], counted || n
			if len(want) == 0 {
				return true, counted
			}
		}
	}
	return false, false
}

// row returns the verdict on a command, where it is shown, and why it is so.
func (c *conformance) row(t *testing.T, ch *chapter, l *line) (verdict, where, why string) {
	f, ok := c.find(ch, l)
	reasons := []string{l.erratum}
	verdict = asShown
	switch {
	case !ok:
		missing := cmp.Or(l.missing, ch.missing)
		if missing == "" {
			t.Errorf("no step runs %q of %q, and the list has no reason", l.text, ch.title)
		}
		verdict, reasons = notShown, []string{missing, l.erratum}
	case f.as != "":
		reasons = append(reasons, l.note)
		verdict, reasons = otherWords, append(reasons, "Typed as "+code(f.as)+".")
	case l.erratum != "":
		verdict = otherWords
	}
	if ok {
		where = fmt.Sprintf("[%s](../topologies/%s.yaml): %s", f.lab.name, f.lab.name, f.lab.steps[f.step].name)
	}
	if f.counted {
		reasons = append(reasons, "A count stands for Ctrl-C.")
	}
	reasons = slices.DeleteFunc(reasons, func(s string) bool { return s == "" })
	return verdict, where, strings.Join(reasons, " ")
}

// code returns a text as Markdown shows code, in a table.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", "\\|") + "`" }

const preamble = `# What of the guide netsim reproduces

Every command of the Docker networking guide, in its order. This file is made by ` + "`go test ./topologies -run Conformance -update`" + `
from the [list of the commands](../testdata/guide/commands.txt) and the [labs](../topologies): a command counts only if a step of a lab
runs it, and every step of every lab is played by the tests.

*as shown*: a step runs the command as it is typed, and checks what comes of it. Ids of containers are those of the lab, where the guide
sits in a container the step uses docker exec, and a ping has a count. *other words*: a step runs it in other words, or it
shows something else than the guide, for the reason given. *not reproduced*: no step runs it, for the reason given.

`

// pages writes what a chapter does in a browser, and the steps of its labs that show it.
func (c *conformance) pages(t *testing.T, body *strings.Builder, ch *chapter) {
	if len(ch.clicks) > 0 {
		fmt.Fprint(body, "\n| In the browser | Shown by | In which words |\n|---|---|---|\n")
	}
	for _, l := range ch.clicks {
		where := ""
		for _, lab := range c.labs {
			if lab.guide == ch.title && slices.ContainsFunc(lab.steps, func(s stepCommands) bool { return s.name == l.shown && !s.fails }) {
				where = fmt.Sprintf("[%s](../topologies/%s.yaml): %s", lab.name, lab.name, l.shown)
			}
		}
		if where == "" {
			t.Errorf("no lab of %q has a step %q, for %q", ch.title, l.shown, l.text)
		}
		fmt.Fprintf(body, "| %s | %s | %s |\n", l.text, where, strings.TrimSpace(l.note+" "+l.erratum))
	}
}

// report writes the whole file.
func report(t *testing.T, guide []*chapter, labs []*labSteps) string {
	var body strings.Builder
	count := map[string]int{}
	for _, ch := range guide {
		c := &conformance{labs: labs, used: map[string]bool{}, last: map[string]int{}}
		fmt.Fprintf(&body, "\n## %s\n", ch.title)
		c.pages(t, &body, ch)
		if len(ch.lines) > 0 {
			fmt.Fprint(&body, "\n| Command | Verdict | Shown by | Reason |\n|---|---|---|---|\n")
		}
		for _, l := range ch.lines {
			verdict, where, why := c.row(t, ch, l)
			count[verdict]++
			text := code(l.text)
			if l.place == "container" {
				text += " in a container"
			}
			fmt.Fprintf(&body, "| %s | %s | %s | %s |\n", text, verdict, where, why)
		}
	}
	total := count[asShown] + count[otherWords] + count[notShown]
	if total != guideCommands {
		t.Errorf("the list has %d commands; the guide has %d", total, guideCommands)
	}
	return preamble + fmt.Sprintf("Of %d commands %d are as shown, %d in other words, and %d are not reproduced.\n",
		total, count[asShown], count[otherWords], count[notShown]) + body.String()
}

// TestConformance fails if docs/conformance.md is not what the labs show.
func TestConformance(t *testing.T) {
	got := report(t, readGuide(t, filepath.Join("..", "testdata", "guide", "commands.txt")), embeddedSteps(t))
	file := filepath.Join("..", "docs", "conformance.md")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if lines := firstDifference(string(want), got); lines != "" {
		t.Errorf("docs/conformance.md is not what the labs show; go test ./topologies -run Conformance -update makes it anew\n%s", lines)
	}
}

func firstDifference(have, want string) string {
	a, b := strings.Split(strings.ReplaceAll(have, "\r\n", "\n"), "\n"), strings.Split(want, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "", ""
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d is\n%s\nand would be\n%s", i+1, x, y)
		}
	}
	if len(a) != len(b) {
		return "its length differs"
	}
	return ""
}

// A step that does not run a command cannot show it, and no step shows one twice.
func TestConformanceClaimsNothingElse(t *testing.T) {
	lab := func(guide string, lines ...string) *labSteps {
		l := &labSteps{name: "a", guide: guide}
		for i, s := range lines {
			l.steps = append(l.steps, stepCommands{fmt.Sprintf("step %d", i), strings.HasPrefix(s, "!"), commandsOf("host", strings.TrimPrefix(s, "!"))})
		}
		return l
	}
	anywhere, only := chapter{title: "Chapter"}, chapter{title: "Chapter", only: true}
	named := chapter{title: "Chapter", only: true, labs: []string{"a"}}
	ls := &line{place: "host", text: "docker network ls"}
	for _, row := range []struct {
		name  string
		ch    chapter
		lab   *labSteps
		lines []*line
		want  string
	}{
		{"as typed", anywhere, lab("Chapter", "docker network ls"), []*line{ls}, "a:0"},
		{"another flag", anywhere, lab("Chapter", "docker network ls -q"), []*line{ls}, "none"},
		{"within a substitution", anywhere, lab("Chapter", "echo $(docker network ls)"), []*line{ls}, "none"},
		{"twice by one step", anywhere, lab("Chapter", "docker network ls"), []*line{ls, ls}, "a:0 none"},
		{"twice by two", anywhere, lab("Chapter", "docker network ls", "docker network ls"), []*line{ls, ls}, "a:0 a:1"},
		{"by a lab of another chapter", anywhere, lab("Other", "docker network ls"), []*line{ls}, "a:0"},
		{"which counts only if it is named", only, lab("Other", "docker network ls"), []*line{ls}, "none"},
		{"and is named", named, lab("Other", "docker network ls"), []*line{ls}, "a:0"},
		{"by a lab of the chapter", only, lab("Chapter", "docker network ls"), []*line{ls}, "a:0"},
		{"in another order", anywhere, lab("Chapter", "docker ps", "docker network ls"), []*line{ls, {place: "host", text: "docker ps"}}, "a:1 a:0"},
		{"by a step that fails", anywhere, lab("Chapter", "!docker network ls", "docker network ls"), []*line{ls, ls}, "a:1 none"},
		{"elsewhere", anywhere, lab("Chapter", "docker exec c1 docker network ls"), []*line{ls}, "none"},
	} {
		c := &conformance{labs: []*labSteps{row.lab}, used: map[string]bool{}, last: map[string]int{}}
		var got []string
		for _, l := range row.lines {
			if f, ok := c.find(&row.ch, l); ok {
				got = append(got, fmt.Sprintf("%s:%d", f.lab.name, f.step))
			} else {
				got = append(got, "none")
			}
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s: shown by %v; want %s", row.name, got, row.want)
		}
	}
}
