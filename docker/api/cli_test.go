package api

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the docker command printed into testdata")

// cliVersion is the docker command whose output the goldens are.
const cliVersion = "28.2.2"

// cli is the machine's docker command, pointed at a server.
type cli struct {
	t   testing.TB
	dir string
	env []string
}

// newCLI returns the docker command, or skips the test with the reason why it cannot.
func newCLI(t testing.TB, r *rig) *cli {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("there is no docker command here")
	}
	out, err := exec.Command("docker", "version", "--format", "{{.Client.Version}}").Output() // fails where no engine runs
	if got := strings.TrimSpace(string(out)); got != cliVersion {
		t.Skipf("the docker command is of version %q, %v; the goldens are of %s", got, err, cliVersion)
	}
	dir := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "DOCKER_CONFIG=" + dir, "DOCKER_HOST=unix://" + r.socket, "DOCKER_CLI_HINTS=false"}
	return &cli{t: t, dir: dir, env: env}
}

// command is a line of shell.
func (c *cli) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Env, cmd.Dir = c.env, c.dir
	return cmd
}

// run runs a line and returns what it printed, and its exit status where that is not 0.
func (c *cli) run(line string) string {
	c.t.Helper()
	var out bytes.Buffer
	cmd := c.command(soon(c.t), line)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimPrefix(strings.TrimRight(out.String(), "\n")+exitText(err), "\n")
}

func exitText(err error) string {
	if err == nil {
		return ""
	}
	if exit := new(exec.ExitError); asExit(err, &exit) && exit.ExitCode() >= 0 {
		return fmt.Sprintf("\n[exit %d]", exit.ExitCode())
	}
	return fmt.Sprintf("\n[%v]", err)
}

func asExit(err error, exit **exec.ExitError) bool {
	e, ok := err.(*exec.ExitError) //nolint:errorlint // Run returns it as it is
	*exit = e
	return ok
}

// block is a command of a script and what it must print.
type block struct {
	line   string   // with its mark: "$ ", "? " (until it succeeds) or "% " (on a terminal)
	dialog []string // of a terminal: "< text" waits for text, "> text" types it
	want   []string
}

// parseScript reads a script: blocks of a command and its output, and comments, which begin with "# ".
func parseScript(text string) []block {
	var all []block
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		last := len(all) - 1
		switch {
		case strings.HasPrefix(line, "$ "), strings.HasPrefix(line, "? "), strings.HasPrefix(line, "% "), strings.HasPrefix(line, "# "):
			all = append(all, block{line: line})
		case last >= 0 && (strings.HasPrefix(line, "< ") || strings.HasPrefix(line, "> ")):
			all[last].dialog = append(all[last].dialog, line)
		case last >= 0:
			all[last].want = append(all[last].want, line)
		}
	}
	return all
}

// TestCLI plays the scripts of testdata/cli with the machine's docker command: the guide's commands for a single host,
// and variations of them. Ids, times and addresses in memory are put into one form before they are compared.
func TestCLI(t *testing.T) {
	scripts, err := filepath.Glob("testdata/cli/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		t.Run(name, func(t *testing.T) {
			era := func(c *Config) {
				c.Modern = strings.Contains(name, "modern")
				if strings.Contains(name, "17.03") {
					c.Release = Release1703
				}
			}
			if !strings.HasPrefix(name, "swarm") {
				playScript(t, newCLI(t, newRig(t, era)), path, nil)
				return
			}
			r, f := newSwarmRig(t, era)
			playScript(t, newCLI(t, r), path, f.knows)
		})
	}
}

// playScript plays a script; known tells of the beginning of an id whether a swarm has an object with it.
func playScript(t *testing.T, c *cli, path string, known func(string) bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	norm := newNormaliser()
	norm.known = known
	for i, b := range parseScript(string(text)) {
		if strings.HasPrefix(b.line, "# ") {
			if i > 0 {
				out.WriteString("\n")
			}
			out.WriteString(b.line + "\n")
			continue
		}
		begun := time.Now()
		got := norm.apply(c.play(b))
		if took := time.Since(begun); took > time.Second {
			t.Logf("%.1f s: %s", took.Seconds(), b.line)
		}
		out.WriteString(b.line + "\n" + joinLines(b.dialog))
		if got != "" {
			out.WriteString(got + "\n")
		}
		want := strings.TrimRight(strings.Join(b.want, "\n"), "\n")
		if got != want && !*update {
			t.Errorf("%s: %s\n got:\n%s\nwant:\n%s", path, b.line, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

// play runs a block and returns what it printed.
func (c *cli) play(b block) string {
	c.t.Helper()
	mark, line := b.line[0], b.line[2:]
	switch mark {
	case '?':
		for deadline := time.Now().Add(20 * time.Second); ; {
			if out := c.run(line); !strings.Contains(out, "[exit ") || time.Now().After(deadline) {
				return ""
			}
		}
	case '%':
		return c.dialog(line, b.dialog)
	}
	return c.run(line)
}

// normaliser replaces what differs from run to run.
type normaliser struct {
	ids   map[string]int // by the first twelve digits
	known func(prefix string) bool
}

func newNormaliser() *normaliser { return &normaliser{ids: map[string]int{}} }

var (
	reDigest  = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
	reLongID  = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	reShortID = regexp.MustCompile(`\b[0-9a-f]{12}\b`)
	reStamp   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d| \+0000 (UTC|utc))`)
	reAgo     = regexp.MustCompile(`([Ll]ess than a second|About a minute|About an hour|\d+ (seconds?|minutes?|hours?|days?|weeks?|months?|years?))( ago)?`)
	rePing    = regexp.MustCompile(`time[=: ] ?[0-9.]+ ?ms`)
	reTrip    = regexp.MustCompile(`= [0-9.]+/[0-9.]+/[0-9.]+(/[0-9.]+)? ms`)
	rePid     = regexp.MustCompile(`"Pid": [1-9]\d*`)
	reSwarmID = regexp.MustCompile(`\b[0-9a-z]{12}([0-9a-z]{13})?\b`)
	reToken   = regexp.MustCompile(`SWMTKN-1-[0-9a-z]{50}-([0-9a-z]{25})`)
	rePEM     = regexp.MustCompile(`(?s)(-----BEGIN CERTIFICATE-----\n).*?(-----END CERTIFICATE-----)`)
	reIssuer  = regexp.MustCompile(`("?CertIssuerPublicKey"?: "?)[A-Za-z0-9+/=]+`)
	reMachine = regexp.MustCompile(`(?m)^( *(?:Go version|OS/Arch|Built|CPUs|Architecture|Total Memory|ID):) .*$`)
	reIndex   = regexp.MustCompile(`"Index": \d+`)
	reSteps   = regexp.MustCompile(`(?m)(^(overall progress: .*|\d+/\d+: .*|\S{12}: [a-z]+ *|verify: Waiting .*|verify: Detected .*)(\n|$))+`)
	reWide    = regexp.MustCompile(` {2,}`)
)

func (n *normaliser) apply(text string) string {
	text = strings.ReplaceAll(text, "\r", "")
	text = reSteps.ReplaceAllString(text, "<progress>\n")
	text = reIndex.ReplaceAllString(text, `"Index": <n>`)
	text = reDigest.ReplaceAllString(text, "sha256:<digest>")
	text = reToken.ReplaceAllStringFunc(text, func(token string) string {
		return fmt.Sprintf("SWMTKN-1-<digest>-<secret %d>", n.number(token[len(token)-25:]))
	})
	text = rePEM.ReplaceAllString(text, "$1<certificate>\n$2")
	text = reIssuer.ReplaceAllString(text, "$1<key>")
	text = reSwarmID.ReplaceAllStringFunc(text, n.swarmID)
	text = reLongID.ReplaceAllStringFunc(text, func(id string) string { return fmt.Sprintf("<id %d>", n.number(id)) })
	text = reShortID.ReplaceAllStringFunc(text, func(id string) string { return fmt.Sprintf("<id %-4s>   ", strconv.Itoa(n.number(id)))[:12] })
	text = reStamp.ReplaceAllString(text, "<time>")
	text = rePing.ReplaceAllString(text, "time=<t> ms")
	text = reTrip.ReplaceAllString(text, "= <t>/<t>/<t> ms")
	text = rePid.ReplaceAllString(text, `"Pid": <pid>`)
	text = reMachine.ReplaceAllString(text, "$1 <...>")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		line = strings.TrimRight(line, " ")
		if reAgo.MatchString(line) {
			line = reWide.ReplaceAllString(reAgo.ReplaceAllString(line, "<ago>"), "  ")
		} else if strings.HasPrefix(line, "CONTAINER ID") || strings.Contains(line, "CURRENT STATE") || strings.HasSuffix(line, "UPDATED") {
			line = reWide.ReplaceAllString(line, "  ")
		}
		lines[i] = line
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// swarmID replaces ids of objects of a swarm.
func (n *normaliser) swarmID(id string) string {
	switch {
	case len(id) == 25:
		return fmt.Sprintf("<id %-20s>", strconv.Itoa(n.number(id)))
	case n.ids[id] == 0 && (n.known == nil || !n.known(id)):
		return id
	}
	return fmt.Sprintf("<id %-4s>   ", strconv.Itoa(n.number(id)))[:12]
}

// number returns the number of an id: that of its first mention.
func (n *normaliser) number(id string) int {
	id = id[:12]
	if n.ids[id] == 0 {
		n.ids[id] = len(n.ids) + 1
	}
	return n.ids[id]
}
