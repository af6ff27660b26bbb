package shell

import (
	"context"
	"sort"
	"strings"

	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// where says which flavours have a tool.
type where uint8

const (
	onFull    where = 1 << Full
	onHost    where = 1 << Host
	onBusybox where = 1 << Busybox
	onUbuntu  where = 1 << Ubuntu

	onAlpine  where = 1 << Alpine
	onApplets       = onBusybox | onAlpine

	everywhere = onFull | onHost | onApplets | onUbuntu
	notBusybox = onFull | onHost | onUbuntu
	notUbuntu  = onFull | onHost | onApplets
	rich       = onFull | onHost
)

// entry is a line of the table of tools.
type entry struct {
	run Tool
	on  where
	pkg string // the package that brings it to an ubuntu; "": none does
	dir string // where it lies; "": /usr/bin
}

// table lists all tools by name. It is filled by init, for tools run others.
var table map[string]entry

func init() {
	table = map[string]entry{}
	for _, family := range []map[string]entry{coreTools(), textTools(), netTools(), adminTools()} {
		for name, e := range family {
			table[name] = e
		}
	}
}

// coreTools are those that any Unix has.
func coreTools() map[string]entry {
	return map[string]entry{
		"sh": {run: runShell, on: everywhere, dir: "/bin"}, "bash": {run: runShell, on: notBusybox, dir: "/bin"},
		"ash": {run: runShell, on: onApplets, dir: "/bin"}, "cat": {run: runCat, on: everywhere, dir: "/bin"},
		"ls": {run: runLs, on: everywhere, dir: "/bin"}, "rm": {run: runRm, on: everywhere, dir: "/bin"},
		"mkdir": {run: runMkdir, on: everywhere, dir: "/bin"}, "touch": {run: runTouch, on: everywhere, dir: "/bin"},
		"hostname": {run: runHostname, on: everywhere, dir: "/bin"}, "sleep": {run: runSleep, on: everywhere, dir: "/bin"},
		"date": {run: runDate, on: everywhere, dir: "/bin"}, "env": {run: runEnv, on: everywhere}, "printenv": {run: runEnv, on: everywhere},
		"id": {run: runID, on: everywhere}, "whoami": {run: runWhoami, on: everywhere}, "uname": {run: runUname, on: everywhere, dir: "/bin"},
		"ps": {run: runPs, on: everywhere, dir: "/bin"}, "kill": {run: runKill, on: everywhere, dir: "/bin"}, "jobs": {run: runJobs, on: everywhere, dir: "/bin"},
		"pidof": {run: runPgrep, on: everywhere, dir: "/bin"}, "pgrep": {run: runPgrep, on: everywhere}, "pkill": {run: runPgrep, on: everywhere},
		"killall": {run: runPgrep, on: notUbuntu, pkg: "psmisc"},
		"timeout": {run: runTimeout, on: everywhere}, "stty": {run: runStty, on: everywhere, dir: "/bin"}, "tty": {run: runTTY, on: everywhere}, "which": {run: runWhich, on: everywhere}, "seq": {run: runSeq, on: everywhere},
		"true": {run: runTrue, on: everywhere, dir: "/bin"}, "false": {run: runFalse, on: everywhere, dir: "/bin"},
		"yes": {run: runYes, on: everywhere}, "xargs": {run: runXargs, on: everywhere}, "clear": {run: runTrue, on: everywhere},
		"apt-get": {run: runApt, on: notBusybox}, "apt": {run: runApt, on: notBusybox},
		"apk": {run: runApk, on: onAlpine, dir: "/sbin"},
	}
}

// textTools work on lines.
func textTools() map[string]entry {
	return map[string]entry{
		"grep": {run: runGrep, on: everywhere, dir: "/bin"}, "egrep": {run: runGrep, on: everywhere, dir: "/bin"},
		"fgrep": {run: runGrep, on: everywhere, dir: "/bin"}, "head": {run: runHead, on: everywhere}, "tail": {run: runTail, on: everywhere},
		"wc": {run: runWc, on: everywhere}, "sort": {run: runSort, on: everywhere}, "uniq": {run: runUniq, on: everywhere},
		"cut": {run: runCut, on: everywhere}, "tr": {run: runTr, on: everywhere}, "sed": {run: runSed, on: everywhere, dir: "/bin"},
		"awk": {run: runAwk, on: everywhere}, "tee": {run: runTee, on: everywhere},
	}
}

// netTools talk over the network.
func netTools() map[string]entry {
	return map[string]entry{
		"ping":       {run: runPing, on: notUbuntu, pkg: "iputils-ping", dir: "/bin"},
		"curl":       {run: runCurl, on: rich, pkg: "curl"},
		"wget":       {run: runWget, on: notUbuntu, pkg: "wget"},
		"nc":         {run: runNc, on: notUbuntu, pkg: "netcat", dir: "/bin"},
		"telnet":     {run: runTelnet, on: notUbuntu, pkg: "telnet"},
		"dig":        {run: runDig, on: rich, pkg: "dnsutils"},
		"nslookup":   {run: runNslookup, on: notUbuntu, pkg: "dnsutils"},
		"host":       {run: runHost, on: rich, pkg: "dnsutils"},
		"getent":     {run: runGetent, on: notBusybox},
		"traceroute": {run: runTraceroute, on: notUbuntu, pkg: "traceroute"},
		"tracepath":  {run: runTracepath, on: rich, pkg: "iputils-tracepath"},
		"mtr":        {run: runMtr, on: rich, pkg: "mtr"},
		"hey":        {run: runHey, on: rich, pkg: "hey"},
		"ab":         {run: runAb, on: rich, pkg: "apache2-utils"},
		"iperf3":     {run: runIperf3, on: rich, pkg: "iperf3"},
		"redis-cli":  {run: runRedis, on: rich, pkg: "redis-tools"},
		"tcpdump":    {run: runTcpdump, on: rich, pkg: "tcpdump", dir: "/usr/sbin"},
	}
}

// adminTools show and change what the namespace is made of.
func adminTools() map[string]entry {
	return map[string]entry{
		"ip":            {run: runIP, on: notUbuntu, pkg: "iproute2", dir: "/sbin"},
		"ss":            {run: runSs, on: rich, pkg: "iproute2", dir: "/bin"},
		"bridge":        {run: runBridge, on: rich, pkg: "iproute2", dir: "/sbin"},
		"ifconfig":      {run: runIfconfig, on: notUbuntu, pkg: "net-tools", dir: "/sbin"},
		"netstat":       {run: runNetstat, on: notUbuntu, pkg: "net-tools", dir: "/bin"},
		"arp":           {run: runArp, on: notUbuntu, pkg: "net-tools", dir: "/usr/sbin"},
		"route":         {run: runRoute, on: notUbuntu, pkg: "net-tools", dir: "/sbin"},
		"brctl":         {run: runBrctl, on: notUbuntu, pkg: "bridge-utils", dir: "/sbin"},
		"iptables":      {run: runIptables, on: rich, pkg: "iptables", dir: "/sbin"},
		"iptables-save": {run: runIptablesSave, on: rich, pkg: "iptables", dir: "/sbin"},
		"nft":           {run: runNft, on: rich, pkg: "nftables", dir: "/usr/sbin"},
		"conntrack":     {run: runConntrack, on: rich, pkg: "conntrack", dir: "/usr/sbin"},
		"ipvsadm":       {run: runIpvsadm, on: rich, pkg: "ipvsadm", dir: "/sbin"},
		"nsenter":       {run: runNsenter, on: notUbuntu, pkg: "util-linux"},
		"sysctl":        {run: runSysctl, on: everywhere, dir: "/sbin"},
	}
}

// path returns where a tool lies.
func (e entry) path(name string) string {
	if e.dir == "" {
		return "/usr/bin/" + name
	}
	return e.dir + "/" + name
}

// tool returns the command of that name, or at that path, if the system has it, and where it lies.
func (s *System) tool(name string) (run Tool, path string, ok bool) {
	if run, ok := s.Extra[name]; ok && run != nil {
		return run, "/usr/local/bin/" + name, true
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	if run, ok := s.Extra[base]; ok && run != nil && name != base {
		return run, name, true
	}
	e, ok := table[base]
	if !ok || e.on&(1<<s.Flavour) == 0 && !s.isInstalled(e.pkg) {
		return nil, "", false
	}
	if name != base && name != e.path(base) && name != "/bin/"+base && name != "/usr/bin/"+base && name != "/usr"+e.path(base) {
		return nil, "", false
	}
	return e.run, e.path(base), true
}

func (s *System) isInstalled(pkg string) bool {
	if pkg == "" {
		return false
	}
	st := s.st()
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.installed[pkg]
}

// Tools returns the names of all commands that the system has, sorted; the shell's own are not among them.
func (s *System) Tools() []string {
	names := make([]string, 0, len(table))
	for name := range s.Extra {
		names = append(names, name)
	}
	for name := range table {
		if _, _, ok := s.tool(name); ok && s.Extra[name] == nil {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

// programs are the shell's own commands that other Unix systems also have as programs.
var programs = map[string]bool{"echo": true, "printf": true, "test": true, "[": true, "pwd": true}

// invoke runs the command that c.Args names and returns its status; 127 if there is none.
func invoke(ctx context.Context, c *Call) int {
	if run, _, ok := c.Sys.tool(c.Args[0]); ok {
		return run(ctx, c)
	}
	if programs[c.name()] && interp.IsBuiltin(c.name()) {
		return c.script(ctx, quoted(append([]string{c.name()}, c.Args[1:]...)), nil)
	}
	c.say("%s: not found", "sh: "+c.Args[0])
	return statusNotFound
}

const (
	statusNotFound    = 127
	statusInterrupted = 130 // 128 + SIGINT
)

// quoted makes a command line of words.
func quoted(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		q, err := syntax.Quote(a, syntax.LangPOSIX)
		if err != nil { // a byte that POSIX cannot quote; single quotes keep all but a NUL
			q = "'" + strings.ReplaceAll(strings.ReplaceAll(a, "\x00", ""), "'", `'\''`) + "'"
		}
		words[i] = q
	}
	return strings.Join(words, " ")
}
