package shell

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Bad arguments get the tool's own words and status.
func TestBadArguments(t *testing.T) {
	b := newBench(t)
	for _, row := range []struct {
		script, first, second string
		status                int
	}{
		{"ping -%", "ping: invalid option -- '%'", "", 2},
		{"ping", "ping: usage error: Destination address required", "", 1},
		{"ping -c 0 c2", "ping: invalid argument: '0': out of range: 1 <= value <= #", "", 1},
		{"ping -f c2", "ping: option -f of the real ping is not available here", "", 2},
		{"traceroute -% c2", "Bad option `-%' (argc 1)", "", 2},
		{"traceroute -m x c2", "Cannot handle `-m' option with arg `x' (argc 2)", "", 2},
		{"traceroute", "Usage:", "  traceroute [ -46dFITnreAUDV ] *", 0},
		{"tracepath -%", "tracepath: invalid option -- '%'", "", 255},
		{"mtr -%", "mtr: invalid option -- '%'", "", 1},
		{"dig -%", "Invalid option: -%", "Usage:  dig [@global-server] *", 1},
		{"dig +frob c2", "Invalid option: +frob", "Usage:  dig [@global-server] *", 1},
		{"dig -x", "Invalid option: -x", "Usage:  dig [@global-server] *", 1},
		{"nslookup a b c", "Usage:", "   nslookup [-opt ...] *", 1},
		{"host -%", "host: illegal option -- %", "Usage: host [-aCdilrTvVw] *", 1},
		{"brctl", "Usage: brctl [commands]", "commands:", 1},
		{"brctl frob", "never heard of command [frob]", "Usage: brctl [commands]", 1},
		{"brctl addif br0", "Incorrect number of arguments for command", "Usage: brctl addif <bridge> <device>*", 1},
		{"ip", "Usage: ip [ OPTIONS ] OBJECT { COMMAND | help }", "", 255},
		{"ip -%", `Option "-%" is unknown, try "ip -help".`, "", 255},
		{"ip frob", `Object "frob" is unknown, try "ip help".`, "", 1},
		{"ip addr frob", `Command "frob" is unknown, try "ip address help".`, "", 255},
		{"ip link frob", `Command "frob" is unknown, try "ip link help".`, "", 255},
		{"ip route frob", `Command "frob" is unknown, try "ip route help".`, "", 255},
		{"ip neigh frob", `Command "frob" is unknown, try "ip neigh help".`, "", 255},
		{"ip route help", "Usage: ip route { list | flush } SELECTOR", "", 255},
		{"ip link set", `Not enough information: "dev" argument is required.`, "", 255},
		{"ip link set lo mtu x", `Error: argument "x" is wrong: Invalid "mtu" value`, "", 255},
		{"ip link set lo frob", `Error: either "dev" is duplicate, or "frob" is a garbage.`, "", 255},
		{"ip addr add", `Not enough information: "dev" argument is required.`, "", 1},
		{"ip addr add 1.2.3.4/24", `Not enough information: "dev" argument is required.`, "", 1},
		{"ip addr add 1.2.3.4/24 dev", `Command line is not complete. Try option "help"`, "", 255},
		{"bridge", "Usage: bridge [ OPTIONS ] OBJECT { COMMAND | help }", "", 255},
		{"bridge -%", `Option "-%" is unknown, try "bridge help".`, "", 255},
		{"bridge frob", `Object "frob" is unknown, try "bridge help".`, "", 255},
		{"bridge fdb frob", `Command "frob" is unknown, try "bridge fdb help".`, "", 255},
		{"arp -%", "arp: invalid option -- '%'", "Usage:", 3},
		{"arp -d", "arp: need host name", "", 255},
		{"ifconfig -%", "ifconfig: option `-%' not recognised.", "ifconfig: `--help' gives usage information.", 1},
		{"ifconfig nope", "nope: error fetching interface information: Device not found", "", 1},
		{"ifconfig lo frob", "frob: Unknown host", "ifconfig: `--help' gives usage information.", 1},
		{"route -%", "route: invalid option -- '%'", "Usage: route [-nNvee] [-FC] [<AF>]  *", 0},
		{"route frob", "Usage: route [-nNvee] [-FC] [<AF>]  *", "", 3},
		{"netstat -%", "netstat: invalid option -- '%'", "usage: netstat *", 3},
		{"ss -%", "ss: invalid option -- '%'", "Usage: ss [ OPTIONS ]", 255},
		{"nc -%", "nc: invalid option -- '%'", "usage: nc [-46CDdFhklNnrStUuvZz] *", 1},
		{"nc c2", "nc: missing port number", "", 1},
		{"wget -%", "wget: invalid option -- '%'", "Usage: wget [OPTION]... [URL]...", 2},
		{"curl -%", "curl: option -%: is unknown", "curl: try 'curl --help' or 'curl --manual' for more information", 2},
		{"curl -m", "curl: option -m: requires parameter", "curl: try 'curl --help' or 'curl --manual' for more information", 2},
		{"curl", "curl: no URL specified!", "curl: try *", 2},
		{"tcpdump -%", "tcpdump: invalid option -- '%'", "tcpdump version 4.9.3", 1},
		{"conntrack -%", "conntrack v1.4.3 (conntrack-tools): unknown option `-%'", "Try `conntrack -h' or 'conntrack --help' for more information.", 2},
		{"ab -%", "ab: illegal option -- %", "ab: wrong number of arguments", 22},
		{"ls -%", "ls: invalid option -- '%'", "Try 'ls --help' for more information.", 2},
		{"grep -%", "grep: invalid option -- '%'", "Usage: grep [OPTION]... PATTERNS [FILE]...", 2},
		{"timeout", "timeout: missing operand", "Try 'timeout --help' for more information.", 125},
		{"head -%", "head: invalid option -- '%'", "Try 'head --help' for more information.", 1},
		{"tty", "not a tty", "", 1},
	} {
		b.badArguments(b.host, row.script, row.first, row.second, row.status)
	}
}

// In busybox applets print their own usage.
func TestBadArgumentsOfBusybox(t *testing.T) {
	b := newBench(t)
	busy := &System{NS: b.c1.NS, Flavour: Busybox, Files: b.c1.Files}
	for _, name := range strings.Fields("ping traceroute wget nc netstat arp route nsenter cat ls mkdir touch hostname head tail sort wc uniq cut tr sed tee tty sysctl ps grep") {
		status := max(1, busyboxStatus[name])
		b.badArguments(busy, name+" -%", name+": invalid option -- '%'", strings.TrimSpace(busyboxBanner), status)
		if _, errOut, _ := b.run(busy, name+" -%"); !strings.Contains(errOut, "\n\nUsage: "+name+" ") && !strings.Contains(errOut, "\n\nUsage: "+name+"\n") {
			t.Errorf("%s -%%: %s", name, errOut)
		}
	}
	for _, row := range []struct {
		script, first string
		status        int
	}{
		{"ping", strings.TrimSpace(busyboxBanner), 1},
		{"ping -c x c2", "ping: invalid number 'x'", 1},
		{"ip", strings.TrimSpace(busyboxBanner), 1},
		{"ip frob", strings.TrimSpace(busyboxBanner), 1},
		{"ip link frob", "ip: invalid argument 'frob' to 'ip'", 1},
		{"brctl frob", "brctl: invalid argument 'frob' to 'brctl'", 1},
		{"ifconfig nope", "ifconfig: nope: error fetching interface information: Device not found", 1},
		{"ifconfig lo frob", "ifconfig: bad address 'frob'", 1},
		{"route frob", strings.TrimSpace(busyboxBanner), 1},
		{"grep", strings.TrimSpace(busyboxBanner), 2},
		{"mkdir", strings.TrimSpace(busyboxBanner), 1},
		{"timeout", strings.TrimSpace(busyboxBanner), 1},
	} {
		b.badArguments(busy, row.script, row.first, "", row.status)
	}
}

// badArguments holds the first lines of what a script prints, and its status, against what is wanted; an empty second
// line is any.
func (b *bench) badArguments(s *System, script, first, second string, status int) {
	b.Helper()
	out, errOut, code := b.run(s, script)
	lines := append(strings.Split(out+errOut, "\n"), "")
	if !like(first, lines[0]) || second != "" && !like(second, lines[1]) || code != status {
		b.Errorf("%s: status %d; want %d\n%s%s", script, code, status, out, errOut)
	}
}

// What the tools of this machine say of the same arguments, where they are of the version that ours look like.
func TestBadArgumentsAsRealTools(t *testing.T) {
	b := newBench(t)
	for _, row := range []struct{ version, has, script string }{
		{"ping -V", "iputils 20221126", "ping -%"},
		{"ping -V", "iputils 20221126", "ping"},
		{"ping -V", "iputils 20221126", "ping -c x 127.0.0.1"},
		{"ip -V", "iproute2-6.1.0", "ip"},
		{"ip -V", "iproute2-6.1.0", "ip -%"},
		{"ip -V", "iproute2-6.1.0", "ip frob"},
		{"ip -V", "iproute2-6.1.0", "ip link help"},
		{"ip -V", "iproute2-6.1.0", "ip addr frob"},
		{"ip -V", "iproute2-6.1.0", "ip netns help"},
		{"ip -V", "iproute2-6.1.0", "ip netns frob"},
		{"ip -V", "iproute2-6.1.0", "ip netns add"},
		{"ip -V", "iproute2-6.1.0", "ip netns exec"},
		{"ip -V", "iproute2-6.1.0", "ip addr add 1.2.3.4/24"},
		{"ip -V", "iproute2-6.1.0", "ip link set"},
		{"bridge -V", "6.1.0", "bridge"},
		{"bridge -V", "6.1.0", "bridge frob"},
		{"bridge -V", "6.1.0", "bridge fdb frob"},
		{"arp -V", "net-tools 2.10", "arp -%"},
		{"route -V", "net-tools 2.10", "route frob"},
		{"ifconfig -V", "net-tools 2.10", "ifconfig -%"},
		{"ifconfig -V", "net-tools 2.10", "ifconfig nope"},
		{"brctl -V", "bridge-utils, 1.7", "brctl"},
		{"brctl -V", "bridge-utils, 1.7", "brctl frob"},
		{"wget -V", "GNU Wget 1.21", "wget -%"},
		{"ss -V", "iproute2-6.1.0", "ss -%"},
		{"ls --version", "coreutils", "ls -%"},
		{"timeout --version", "coreutils", "timeout -%"},
		{"tty --version", "coreutils", "tty -%"},
	} {
		if text, _ := real(t, row.version); !strings.Contains(text, row.has) {
			t.Logf("%s: not compared, for %s says %q", row.script, row.version, text)
			continue
		}
		want, wantStatus := real(t, row.script)
		out, errOut, status := b.run(b.host, row.script)
		if got := out + errOut; !sameLines(got, want) || status != wantStatus {
			t.Errorf("%s: status %d\n%s\nthe real one: status %d\n%s", row.script, status, got, wantStatus, want)
		}
	}
}

// real runs a program of this machine and returns what it prints, and its status; nothing if it is not there.
func real(t *testing.T, line string) (string, int) {
	t.Helper()
	argv := strings.Fields(line)
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return "", -1
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Args[0], cmd.Env = argv[0], append(cmd.Environ(), "LC_ALL=C")
	text, _ := cmd.CombinedOutput()
	return string(text), cmd.ProcessState.ExitCode()
}

// sameLines tells whether two texts have the same lines, but for blanks at their ends. Which of two streams comes first is
// not looked at.
func sameLines(a, b string) bool {
	count := map[string]int{}
	for _, l := range strings.Split(a, "\n") {
		count[strings.TrimRight(l, " \t")]++
	}
	for _, l := range strings.Split(b, "\n") {
		count[strings.TrimRight(l, " \t")]--
	}
	delete(count, "")
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
