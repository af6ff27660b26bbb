package shell

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/netns"
)

// idle is a system whose namespace needs no goroutine.
func idle(t testing.TB, f Flavour) *System {
	t.Helper()
	ns := netns.New(netns.Config{Name: "host-a/idle"})
	t.Cleanup(func() { _ = ns.Close() })
	return &System{NS: ns, Flavour: f, Files: files("idle", "127.0.0.1")}
}

// runIn runs a script in a system and compares what it prints.
func runIn(t *testing.T, s *System, script, want string, status int) {
	t.Helper()
	var o bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	code, err := Run(ctx, s, script, Stdio{Out: &o, Err: &o})
	if err != nil || code != status || !like(want, o.String()) {
		t.Errorf("%s\nprinted:\n%s(status %d, %v), want:\n%s\n(status %d)", script, o.String(), code, err, want, status)
	}
}

// expectInterrupted runs a script that would not end, ends it, and wants it to.
func (b *bench) expectInterrupted(script string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	r, w := io.Pipe() // a terminal where nobody types
	defer w.Close()
	code, err := Run(ctx, b.c1, script, Stdio{In: r})
	if code != statusInterrupted || !errors.Is(err, context.DeadlineExceeded) {
		b.Errorf("Run(%q) = %d, %v; want %d and the context's error", script, code, err, statusInterrupted)
	}
}

// The shell's language, jobs and files.
func TestShell(t *testing.T) {
	s := idle(t, Full)
	for _, tt := range []struct {
		script, want string
		status       int
	}{
		{"for i in 1 2 3; do if test $i = 2; then continue; fi; echo $i; done", "1\n3", 0},
		{"f() { echo $1; return 3; }; f x; echo $?", "x\n3", 0},
		{"x=$(echo a | tr a b); echo \"$x $((1 + 2))\"", "b 3", 0},
		{"false || echo no; true && echo yes; ! true", "no\nyes", 1},
		{"exit 7", "", 7},
		{"foo", "sh: foo: not found", 127},
		{"if", "sh: 1: syntax error: *", 2},
		{"sleep 100 & p=$!; kill $p; wait $p; echo $?", "143", 0},
		{"sleep 100 & sleep 0.05; jobs; kill %1; wait; echo end", "[1] Running                 sleep 100 &\nend", 0},
		{"while true; do sleep 0.01; done & kill %1; wait %1; echo $?", "143", 0},
		{"(sleep 50 & kill $!; wait $!; echo sub $?); sleep 50 & kill -9 $!; wait $!; echo $?", "sub 143\n137", 0},
		{"sleep 50 & (sleep 60 & sleep 0.05; kill %1; wait %1); jobs; kill %1", "[1] Running                 sleep 50 &", 0},
		{"eval 'sleep 9 & kill $!; wait $!; echo $?'; sh -c 'sleep 9 & kill $!; wait $!; echo $? $0 $1' a b", "143\n143 a b", 0},
		{"for i in 1 2; do sleep 0.0$i & done; wait; echo both", "both", 0},
		{"echo x & wait $!; echo $?", "x\n0", 0},
		{"kill 99999", "kill: can't kill pid 99999: No such process", 1},
		{"sleep 100 & echo gone", "gone", 0}, // what nobody waits for ends with the shell
		{"timeout 0.05 sleep 5; echo $?; timeout 5 echo hi", "124\nhi", 0},
		{"set -e; false; echo not here", "", 1},
		{"set -u; echo ${nope}", "***", 1},
		{"trap 'echo bye' EXIT; echo hi", "hi\nbye", 0},
		{"env | sort", "HOME=/root\nHOSTNAME=idle\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 0},
		{"X=1 env Y=2 sh -c 'echo $X$Y'", "12", 0},
		{"export A=1 B=\"x  y\" E=; C=3; export C D=$(echo d); sh -c 'echo \"$A $B $C $D ${E-unset}\"'; A=2; sh -c 'echo $A'", "1 x  y 3 d \n2", 0},
		{"n=V=9; export $n; sh -c 'echo $V'; f() { local x=2 y; echo $x; }; x=1; f; echo $x", "9\n2\n1", 0},
		{"type ip echo nope; command -v ping", "ip is /sbin/ip\necho is a shell builtin\nnope: not found\n/bin/ping", 0},
		{"which ping curl nope", "/bin/ping\n/usr/bin/curl", 1},
		{"sh -c 'echo $0 $#' x a b; echo 'echo in' | sh", "x 2\nin", 0},
		{"echo a > /tmp/f; echo b >> /tmp/f; cat /tmp/f; cat < /tmp/f | wc -l; rm /tmp/f; cat /tmp/f", "a\nb\n2\ncat: /tmp/f: No such file or directory", 1},
		{"mkdir -p /tmp/a/b && cd /tmp/a && touch b/x && pwd && echo b/* && ls b && rm -r /tmp/a && ls /tmp/a", "/tmp/a\nb/x\nx\nls: cannot access '/tmp/a': No such file or directory", 2},
		{"echo 'y=5; echo in $y' > /tmp/s; . /tmp/s; echo $y; sh /tmp/s; . /nope", "in 5\n5\nin 5\nsh: .: /nope: No such file or directory", 1},
		{"echo x > /nodir/f; echo $?", "open /nodir/f: file does not exist\n1", 0},
		{"echo lost > /dev/null; echo x > /proc/version", "open /proc/version: permission denied", 1},
		{"cat /etc/hostname /proc/sys/net/ipv4/ip_forward; sysctl -w net.ipv4.ip_forward=1; cat /proc/sys/net/ipv4/ip_forward", "idle\n0\nnet.ipv4.ip_forward = 1\n1", 0},
		{"echo 0 > /proc/sys/net/ipv4/ip_forward; sysctl net.ipv4.ip_forward net.nope", "net.ipv4.ip_forward = 0\nsysctl: cannot stat /proc/sys/net/nope: No such file or directory", 255},
		{"cat <<E | grep two\none\ntwo\nE", "two", 0},
		{"cat /etc/resolv.conf | grep -c nameserver", "1", 0},
		{"yes | head -2; printf '%s-%d\\n' a 7; [ 1 -lt 2 ] && echo lt", "y\ny\na-7\nlt", 0},
		{"uname -sn; id -u; whoami; hostname; date +%Y | wc -c", "Linux idle\n0\nroot\nidle\n5", 0},
		{"echo a b c | xargs -n 2 echo; echo q | xargs -I{} echo '<{}>'", "a b\nc\n<q>", 0},
	} {
		runIn(t, s, tt.script, tt.want, tt.status)
	}
}

// Nothing of the real machine can be reached.
func TestIsolation(t *testing.T) {
	s := idle(t, Full)
	for _, tt := range []struct {
		script, want string
		status       int
	}{
		{"cat /etc/passwd", "cat: /etc/passwd: No such file or directory", 1},
		{"cat < /etc/passwd", "open /etc/passwd: file does not exist", 1},
		{". /etc/passwd", "sh: .: /etc/passwd: No such file or directory", 1},
		{"builtin source /etc/passwd; command . /etc/passwd", "sh: source: /etc/passwd: No such file or directory\nsh: .: /etc/passwd: No such file or directory", 1},
		{"echo /usr/share/*; echo /proc/self*", "/usr/share/*\n/proc/self*", 0},
		{"test -e /etc/passwd; echo $?; cd /usr/share; pwd", "1\n***\n/", 0},
		{"/bin/true; /usr/bin/id -u; /usr/bin/go", "0\nsh: /usr/bin/go: not found", 127},
		{"type go; command -v go; echo ~nobody", "go: not found\n~nobody", 0},
		{"cat <(echo x)", "sh: 1: syntax error: *", 2},
		{"eval 'cat <(echo x)'", "sh: eval: 1: syntax error: *", 2},
		{"trap 'cat <(echo x)' EXIT; echo hi", "***", 0},
		{"exec /bin/ls /etc/passwd", "ls: cannot access '/etc/passwd': No such file or directory", 2},
		{"echo $UID$EUID$TMPDIR", "00/tmp", 0},
	} {
		runIn(t, s, tt.script, tt.want, tt.status)
	}
}

// The tools on text.
func TestText(t *testing.T) {
	s := idle(t, Full)
	runIn(t, s, "printf 'a b c\\nd e f\\na b c\\n' > /tmp/t; printf 'x:1\\ny:22\\nz:3\\n' > /tmp/n", "", 0)
	for script, want := range map[string]string{
		"grep -c a /tmp/t": "2", "grep -v a /tmp/t": "d e f", "grep -o '[be]' /tmp/t": "b\ne\nb", "grep -in D /tmp/t": "2:d e f", "grep -E 'd|z' /tmp/t": "d e f",
		"grep -F '.' /tmp/t; echo $?": "1", "grep -q a /tmp/t && echo found": "found", "grep 'a\\|d' /tmp/t | wc -l": "3", "grep -w b /tmp/t | head -1": "a b c", "grep -l a /tmp/t /tmp/n": "/tmp/t",
		"grep -H x /tmp/n": "/tmp/n:x:1", "grep -A1 x /tmp/n": "x:1\ny:22", "grep -nB 1 z /tmp/n": "2-y:22\n3:z:3", "seq 9 | grep -C1 -e 2 -e 8": "1\n2\n3\n--\n7\n8\n9",
		"seq 9 | grep -m 1 -A 2 3": "3\n4\n5", "seq 9 | grep -c -A2 3": "1", "head -n 1 /tmp/t": "a b c", "head -c 3 /tmp/t": "a b", "tail -1 /tmp/n": "z:3", "tail -n +2 /tmp/n": "y:22\nz:3", "wc -l /tmp/t": "3 /tmp/t", "wc -w < /tmp/t": "9",
		"sort /tmp/t | uniq -c": "      2 a b c\n      1 d e f", "sort -u /tmp/t": "a b c\nd e f", "sort -t: -k2 -n -r /tmp/n": "y:22\nz:3\nx:1", "cut -d: -f2 /tmp/n": "1\n22\n3", "cut -c1,3- /tmp/n": "x1\ny22\nz3",
		"echo abc | tr a-c A-C": "ABC", "echo aabbc | tr -s ab": "abc", "echo a1b2 | tr -d '[:digit:]'": "ab", "echo a1 | tr -cd 0-9": "1", "seq 3 | tr '\\n' ,": "1,2,3,",
		"sed 's/a/A/' /tmp/t | head -1": "A b c", "sed -n '2p' /tmp/t": "d e f", "sed '1d;$d' /tmp/t": "d e f", "sed -n '/d/,$p' /tmp/t": "d e f\na b c", "sed -E 's/([a-z]):([0-9]+)/\\2=\\1/;2q' /tmp/n": "1=x\n22=y",
		"sed 's/[a-z] /&&/2' /tmp/t | head -1": "a b b c", "sed 's#b#/#g' /tmp/t | head -1": "a / c", "sed '/a/!d' /tmp/t | wc -l": "2", "awk '{print $2}' /tmp/t": "b\ne\nb", "awk -F: '{print $1 \"-\" $2, NR}' /tmp/n": "x-1 1\ny-22 2\nz-3 3",
		"awk '/d/{print $NF}' /tmp/t": "f", "awk -F: '$2>2' /tmp/n": "y:22\nz:3", "awk 'NR==2' /tmp/t": "d e f", "awk 'END{print NR}' /tmp/t": "3", "seq 1 2 5": "1\n3\n5", "seq -s, 3 -1 1": "3,2,1",
		"echo x | tee /tmp/o; cat /tmp/o": "x\nx", "cat -n /tmp/n | head -1": "     1\tx:1", "printf 'a\\n' | cat - /tmp/n | wc -l": "4",
	} {
		runIn(t, s, script, want, 0)
	}
	for script, status := range map[string]int{"grep '[' /tmp/t": 2, "grep": 2, "grep x /nope": 2, "grep nope /tmp/t": 1, "sed": 1, "sed x/ /tmp/t": 1, "sed s/a/ /tmp/t": 1, "awk": 2, "awk '{x}' /tmp/t": 2, "cut /tmp/t": 1, "tr": 1,
		"head -n x /tmp/t": 1, "seq x": 1, "seq 1 0 2": 1, "sort /nope": 1} {
		runIn(t, s, script, "***", status)
	}
}

// A bare ubuntu has no ping until it is installed (A11); busybox has its own tools, and no more.
func TestFlavours(t *testing.T) {
	ub := idle(t, Ubuntu)
	runIn(t, ub, "ping localhost", "sh: ping: not found", 127)
	runIn(t, ub, "apt-get install -y iputils-ping", "***E: Unable to locate package iputils-ping", 100)
	runIn(t, ub, "apt-get update > /dev/null && apt-get install -y iputils-ping", "***0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.\nSetting up iputils-ping ...", 0)
	runIn(t, ub, "ping", "ping: usage error: Destination address required", 1)
	runIn(t, ub, "apt-get install -y nosuch", "***E: Unable to locate package nosuch", 100)
	busy := idle(t, Busybox)
	for _, name := range []string{"curl", "dig", "tcpdump", "bash", "apt-get", "iptables"} {
		runIn(t, busy, name, "sh: "+name+": not found", 127)
	}
	extra := idle(t, Busybox)
	extra.Extra = map[string]Tool{"docker": func(_ context.Context, c *Call) int { c.Printf("%q\n", c.Args); return 4 }}
	runIn(t, extra, "docker ps -a", `["docker" "ps" "-a"]`, 4)
	if got := fmt.Sprint(extra.Flavour, Flavour(9)); got != "busybox flavour(9)" {
		t.Errorf("flavours print as %s", got)
	}
}

// RunArgs runs one command and no shell.
func TestRunArgs(t *testing.T) {
	s := idle(t, Full)
	var o bytes.Buffer
	for _, tt := range []struct {
		argv []string
		in   string
		want string
		code int
	}{
		{[]string{"echo", "a  b", "$HOME;*"}, "", "a  b $HOME;*\n", 0},
		{[]string{"sh", "-c", "echo $0 $1; exit 3", "x", "y"}, "", "x y\n", 3},
		{[]string{"cat"}, "typed\n", "typed\n", 0},
		{[]string{"sh"}, "read x\necho got $x\n", "got\n", 0},
		{[]string{"/bin/cat", "/etc/hostname"}, "", "idle\n", 0},
		{[]string{"[", "a", "=", "b", "]"}, "", "", 1},
	} {
		o.Reset()
		code, err := RunArgs(context.Background(), s, tt.argv, Stdio{In: strings.NewReader(tt.in), Out: &o, Err: &o})
		if code != tt.code || err != nil || o.String() != tt.want {
			t.Errorf("RunArgs(%q) = %d, %v, %q; want %d, %q", tt.argv, code, err, o.String(), tt.code, tt.want)
		}
	}
	code, err := RunArgs(context.Background(), s, []string{"nope"}, Stdio{})
	var missing *NotFoundError
	if code != statusNotFound || !errors.As(err, &missing) || err.Error() != `exec: "nope": executable file not found in $PATH` {
		t.Errorf("RunArgs(nope) = %d, %v", code, err)
	}
	if _, err := Run(context.Background(), &System{}, "true", Stdio{}); err == nil {
		t.Error("a system without a namespace runs commands")
	}
	o.Reset()
	if _, err := Run(context.Background(), s, "read x; echo $x; cat", Stdio{In: strings.NewReader("one\ntwo\n"), Out: &o}); err != nil || o.String() != "one\ntwo\n" {
		t.Errorf("a script reads %q, %v", o.String(), err)
	}
}

// The loop of a terminal: prompts, commands over several lines, errors that do not end it, Ctrl-C.
func TestInteract(t *testing.T) {
	s := idle(t, Full)
	var out, prompts bytes.Buffer
	code, err := Interact(context.Background(), s, Stdio{In: strings.NewReader("x=4\nfor i in 1 2\ndo echo $i\ndone\necho $x )\ncd /tmp\ncat\n"), Out: &out, Err: &prompts})
	if code != 0 || err != nil || out.String() != "1\n2\n" {
		t.Errorf("Interact = %d, %v, %q", code, err, out.String())
	}
	if want := "root@idle:/* root@idle:/* > > root@idle:/* sh: 1: syntax error: *\nroot@idle:/* root@idle:/tmp* root@idle:/tmp* "; !like(want, prompts.String()) {
		t.Errorf("it asks %q; want %q", prompts.String(), want)
	}
	in, typing := io.Pipe()
	defer in.Close()
	go func() {
		_, _ = io.WriteString(typing, "sleep 100\n")
		time.Sleep(50 * time.Millisecond) // a person sees that it hangs
		_, _ = io.WriteString(typing, "\x03exit 5\n")
	}()
	out.Reset()
	if code, err := Interact(context.Background(), s, Stdio{In: in, Out: &out}); code != 5 || err != nil {
		t.Errorf("after Ctrl-C: %d, %v", code, err)
	}
}

// What Ctrl-C and Ctrl-D mean depends on what reads: a half-typed command is forgotten, a shell in a shell goes on, a
// command's input ends.
func TestInteractKeys(t *testing.T) {
	silent := map[string]bool{"cat\n": true, "a\n": true, "echo half": true} // no prompt follows
	for _, row := range []struct {
		name  string
		typed []string // each is typed once there is a prompt
		out   string
		code  int
	}{
		{"Ctrl-C forgets an unclosed quote", []string{"echo 'half\n", "\x03", "echo whole\n"}, "whole\n", 0},
		{"Ctrl-C forgets an unfinished line", []string{"echo half", "\x03", "echo whole\n"}, "whole\n", 0},
		{"Ctrl-C in what came at once forgets what is before it", []string{"echo half\x03echo whole\n"}, "whole\n", 0},
		{"Ctrl-C at a prompt does no harm", []string{"\x03", "\x03", "echo on\n", "exit 3\n"}, "on\n", 3},
		{"Ctrl-C in an inner shell leaves it be", []string{"sh\n", "x=in\n", "echo 'half\n", "\x03", "echo $x\n", "exit\n", "echo out$x\n"}, "in\nout\n", 0},
		{"Ctrl-D ends a command's input", []string{"cat\n", "a\n", "\x04", "echo b\n\x04", "echo never\n"}, "a\nb\n", 0},
		{"Ctrl-D ends the inner shell first", []string{"sh\n", "\x04", "echo outer\n", "exit 4\n"}, "outer\n", 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := idle(t, Full)
			in, typing := io.Pipe()
			defer in.Close() //nolint:errcheck // a pipe
			prompted := make(chan struct{}, 100)
			go func() {
				<-prompted
				for _, text := range row.typed {
					_, _ = io.WriteString(typing, text)
					if !silent[text] {
						<-prompted
					}
				}
				_ = typing.Close()
			}()
			var out bytes.Buffer
			code, err := Interact(context.Background(), s, Stdio{In: in, Out: &out, Err: promptWatch(prompted)})
			close(prompted)
			if code != row.code || err != nil || out.String() != row.out {
				t.Errorf("Interact = %d, %v, %q; want %d, nil, %q", code, err, out.String(), row.code, row.out)
			}
		})
	}
}

// promptWatch tells of every prompt.
type promptWatch chan struct{}

// Write implements io.Writer.
func (p promptWatch) Write(b []byte) (int, error) {
	if bytes.HasSuffix(b, []byte("# ")) || bytes.HasSuffix(b, []byte("> ")) {
		p <- struct{}{}
	}
	return len(b), nil
}

// What a script may write is bounded.
func TestQuota(t *testing.T) {
	s := idle(t, Full)
	runIn(t, s, "yes > /tmp/big; ls -l /tmp/big", "***67108864***", 0)
	runIn(t, s, "i=0; while [ $i -lt 5000 ]; do echo x > /tmp/f$i 2>/dev/null || break; i=$((i+1)); done; test $i -lt 5000", "***", 0)
}

func FuzzRun(f *testing.F) {
	for _, s := range []string{"echo a | grep -o a & wait; x=$((1+2)); for i in 1 2; do ip a; done", "sed 's/a/b/g;2q' <<E\nx\nE", "awk -F: '$1==\"x\"{print $2}' /etc/hosts",
		"tcpdump -i lo 'tcp[13] & 2 != 0' -c 1", "(sleep 1 & kill %1); eval 'type ls'", "curl -v -d @x -w '%{http_code}' 1.2.3.4", "iptables -t nat -L -n; ipvsadm -ln; conntrack -L", "set -- a b; echo \"$@\" ${1#x} $#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		s := idle(t, Full)
		s.Extra = map[string]Tool{"sleep": runTrue, "yes": runTrue}
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		code, err := Run(ctx, s, script, Stdio{In: strings.NewReader("typed\n")})
		if code < 0 || code > 255 || err != nil && ctx.Err() == nil {
			t.Errorf("Run(%q) = %d, %v", script, code, err)
		}
	})
}

func ExampleRun() {
	ns := netns.New(netns.Config{Name: "host-a/web1"})
	defer ns.Close()
	sys := &System{NS: ns, Hostname: "web1", Flavour: Busybox}
	var out bytes.Buffer
	code, err := Run(context.Background(), sys, "hostname; ip addr show lo | grep -o 'inet [0-9./]*'", Stdio{Out: &out})
	fmt.Print(out.String())
	fmt.Println(code, err)
	// Output:
	// web1
	// inet 127.0.0.1/8
	// 0 <nil>
}

// What runs in the background goes on while its shell reads further commands, and Ctrl-C ends what is in front only.
func TestInteractBackground(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"a command", "(sleep 0.1; echo late) &\necho early\nwait\necho end\n", "early\nlate\nend\n"},
		{"in a loop", "for i in 1; do { sleep 0.1; echo late; } & done\necho early\nwait\n", "early\nlate\n"},
		{"in a function", "f() { (sleep 0.1; echo late) & }\nf\necho early\nwait\n", "early\nlate\n"},
		{"Ctrl-C", "(sleep 0.3; echo late) &\nsleep 100\n", "late\nend\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := idle(t, Full)
			in, typing := io.Pipe()
			defer in.Close() //nolint:errcheck // a pipe
			go func() {
				_, _ = io.WriteString(typing, row.in)
				if row.name == "Ctrl-C" {
					time.Sleep(50 * time.Millisecond) // a person sees that it hangs
					_, _ = io.WriteString(typing, "\x03wait\necho end\n")
				}
				_ = typing.Close()
			}()
			var out bytes.Buffer
			if code, err := Interact(context.Background(), s, Stdio{In: in, Out: &out}); code != 0 || err != nil || out.String() != row.want {
				t.Errorf("Interact = %d, %v, %q; want 0, nil, %q", code, err, out.String(), row.want)
			}
		})
	}
}
