package topologies_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"
)

// chapter is one of the guide, with the commands that are typed in it.
type chapter struct {
	title   string
	only    bool // only labs of the chapter show its commands, and these
	labs    []string
	missing string // why its commands are not reproduced
	lines   []*line
	clicks  []*line // what is done in pages of a browser
}

// line is a command of the guide.
type line struct {
	place   string // host, container or client
	text    string
	as      []string // other words for it
	note    string
	erratum string
	missing string
	shown   string // of what is done in a page: the step that shows it
}

// command is a simple command and where it runs.
type command struct {
	place string // host or container
	words []string
}

// places are where the commands of the guide are typed.
var places = []string{"host", "container", "client"}

// readGuide reads the list of the guide's commands.
func readGuide(t *testing.T, file string) []*chapter {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []*chapter
	var last *line
	for n, text := range strings.Split(string(src), "\n") {
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, value, _ := strings.Cut(strings.TrimSpace(text), " ")
		switch indented := strings.HasPrefix(text, "  "); {
		case !indented && key == "chapter":
			all, last = append(all, &chapter{title: value}), nil
		case !indented && key == "page" && len(all) > 0:
			last = &line{place: key, text: value}
			all[len(all)-1].clicks = append(all[len(all)-1].clicks, last)
		case !indented && slices.Contains(places, key) && len(all) > 0:
			last = &line{place: key, text: value}
			all[len(all)-1].lines = append(all[len(all)-1].lines, last)
		case indented && last == nil && len(all) > 0 && all[len(all)-1].set(key, value):
		case indented && last != nil && last.set(key, value):
		default:
			t.Fatalf("%s:%d: cannot read %q", file, n+1, text)
		}
	}
	return all
}

func (c *chapter) set(key, value string) bool {
	switch key {
	case "only":
		c.only, c.labs = true, strings.Fields(value)
	case "missing":
		c.missing = value
	default:
		return false
	}
	return true
}

func (l *line) set(key, value string) bool {
	switch key {
	case "as":
		l.as = append(l.as, value)
	case "note":
		l.note = value
	case "erratum":
		l.erratum = value
	case "missing":
		l.missing = value
	case "shown":
		l.shown = value
	default:
		return false
	}
	return true
}

// unknown stands for what the shell will put in, the id of a container for the most part.
const unknown = "\x00"

// commandsOf returns the simple commands that a script runs at a place, in their order. Those that docker exec runs in a
// container, and those that it hears there from a pipe, follow it. A text that is no script has none.
func commandsOf(place, script string) []command {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	if err != nil {
		return nil
	}
	var all []command
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst, *syntax.FuncDecl:
			return false
		case *syntax.CallExpr:
			if words := wordsOf(n); len(words) > 0 {
				all = append(all, nested(command{place, words})...)
			}
		case *syntax.BinaryCmd:
			if n.Op == syntax.Pipe {
				all = append(all, heard(n)...)
			}
		}
		return true
	})
	return all
}

func wordsOf(call *syntax.CallExpr) []string {
	var words []string
	for _, w := range call.Args {
		var b strings.Builder
		for _, part := range w.Parts {
			literal(&b, part)
		}
		words = append(words, oneLine(b.String()))
	}
	return words
}

// oneLine writes a quoted script of several lines, each of which goes on, as one.
func oneLine(word string) string {
	if !strings.Contains(word, "  ") {
		return word
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(word, "\\\n", "")), " ")
}

func literal(b *strings.Builder, part syntax.WordPart) {
	switch p := part.(type) {
	case *syntax.Lit:
		b.WriteString(p.Value)
	case *syntax.SglQuoted:
		b.WriteString(p.Value)
	case *syntax.DblQuoted:
		for _, inner := range p.Parts {
			literal(b, inner)
		}
	default:
		b.WriteString(unknown)
	}
}

// nested returns a command and what it runs in a container.
func nested(c command) []command {
	all := []command{c}
	if inner := execs(c.words); len(inner) > 0 {
		all = append(all, command{"container", inner})
		if len(inner) == 3 && (inner[0] == "sh" || inner[0] == "bash") && inner[1] == "-c" {
			all = append(all, commandsOf("container", inner[2])...)
		}
	}
	return all
}

// execs returns what docker exec runs; nil: it is another command.
func execs(words []string) []string {
	if len(words) < 4 || words[0] != "docker" || words[1] != "exec" {
		return nil
	}
	rest := words[2:]
	for len(rest) > 0 && strings.HasPrefix(rest[0], "-") {
		if slices.Contains([]string{"-e", "-u", "-w"}, rest[0]) && len(rest) > 1 {
			rest = rest[1:]
		}
		rest = rest[1:]
	}
	if len(rest) < 2 {
		return nil
	}
	return rest[1:]
}

// heard returns what echo says to the shell of a container.
func heard(pipe *syntax.BinaryCmd) []command {
	from, ok := pipe.X.Cmd.(*syntax.CallExpr)
	to, into := pipe.Y.Cmd.(*syntax.CallExpr)
	if !ok || !into {
		return nil
	}
	said, shell := wordsOf(from), execs(wordsOf(to))
	if len(said) < 2 || said[0] != "echo" || len(shell) != 1 || !strings.HasSuffix(shell[0], "sh") {
		return nil
	}
	return commandsOf("container", strings.Join(said[1:], " "))
}

// id is what the guide shows of a container's id, or of a token to join a swarm.
var id = regexp.MustCompile(`^([0-9a-f]{12,64}|SWMTKN-1-[0-9a-z]+-[0-9a-z]+)$`)

// same tells whether a step's command is one of the guide: the same words, but for ids of containers and tokens, and for the count of
// a ping that the guide ends with Ctrl-C.
func same(guide, step command) (ok, counted bool) {
	words := step.words
	if len(words) > 0 && words[0] == "ping" && !slices.Contains(guide.words, "-c") {
		words, counted = uncounted(words)
	}
	return guide.place == step.place && slices.EqualFunc(guide.words, words, func(a, b string) bool {
		return a == b && b != unknown || id.MatchString(a) && b == unknown
	}), counted
}

// uncounted takes the options of a ping away that say how long it goes on.
func uncounted(words []string) (rest []string, counted bool) {
	for i := 0; i < len(words); i++ {
		if slices.Contains([]string{"-c", "-i", "-W", "-w"}, words[i]) {
			i++
			counted = true
			continue
		}
		rest = append(rest, words[i])
	}
	return rest, counted
}

func TestCommandsOfSteps(t *testing.T) {
	for _, row := range []struct{ script, want string }{
		{"docker ps", "host[docker ps]"},
		{"x=$(docker ps -q); docker rm -f $x && ip a | grep eth0", "host[docker rm -f ?] host[ip a] host[grep eth0]"},
		{"docker exec -it c1 ip route", "host[docker exec -it c1 ip route] container[ip route]"},
		{"docker exec -e A=b c1 sh -c 'ip a; ping -c 1 \"x\"'", "host[docker exec -e A=b c1 sh -c ip a; ping -c 1 \"x\"] container[sh -c ip a; ping -c 1 \"x\"] container[ip a] container[ping -c 1 x]"},
		{"echo 'ping -c 1 x' | docker exec -i $(docker ps -q) /bin/bash", "container[ping -c 1 x] host[echo ping -c 1 x] host[docker exec -i ? /bin/bash] container[/bin/bash]"},
		{"for i in 1 2; do curl -s x; done &\nwait", "host[curl -s x] host[wait]"},
		{"docker run -e 'DB=cat-db' web <IMAGE> | (", ""},
	} {
		var got []string
		for _, c := range commandsOf("host", row.script) {
			got = append(got, fmt.Sprintf("%s%s", c.place, strings.ReplaceAll(fmt.Sprint(c.words), unknown, "?")))
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("commandsOf(%q) = %s; want %s", row.script, strings.Join(got, " "), row.want)
		}
	}
}

func TestSameCommand(t *testing.T) {
	for _, row := range []struct {
		guide, step   string
		want, counted bool
	}{
		{"docker run -e 'DB=cat-db' web", "docker run -e DB=cat-db web", true, false},
		{"docker exec -it 6dd93d6cdc80 /bin/bash", "docker exec -it $(docker ps -q) /bin/bash", true, false},
		{"docker exec -it 6dd93d6cdc80 /bin/bash", "docker exec -it web1 /bin/bash", false, false},
		{"docker inspect web1", "docker inspect $x", false, false},
		{"docker swarm join --token SWMTKN-1-3n2i-63es 172.31.34.123:2377", "docker swarm join --token $(cat token) 172.31.34.123:2377", true, false},
		{"ping 10.0.0.4", "ping -c 2 -i 0.01 10.0.0.4", true, true},
		{"ping 10.0.0.4", "ping 10.0.0.4", true, false},
		{"ping 10.0.0.4", "ping -c 2 10.0.0.5", false, true},
		{"brctl show", "brctl show docker0", false, false},
	} {
		got, counted := same(commandsOf("host", row.guide)[0], commandsOf("host", row.step)[0])
		if got != row.want || counted != row.counted {
			t.Errorf("same(%q, %q) = %v, %v; want %v, %v", row.guide, row.step, got, counted, row.want, row.counted)
		}
	}
}
