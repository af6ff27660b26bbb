package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// kernelPrefix begins the names of all namespaces that a measurement makes; the process's number follows.
const kernelPrefix = "netsim-bench-"

// namespaces is the directory of the files that stand for ip(8)'s namespaces.
const namespaces = "/run/netns/"

// kernel makes network namespaces of the machine's kernel with ip(8). It remembers its first error, after which it
// does nothing more, and what it made.
type kernel struct {
	ctx  context.Context
	made []string
	err  error
}

var euid = os.Geteuid // tests are somebody else

// needKernel tells why the kernel cannot be a peer here.
func needKernel(tools ...string) error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("%w: %s has no Linux kernel to compare with", errSkip, runtime.GOOS)
	}
	if euid() != 0 {
		return fmt.Errorf("%w: making kernel namespaces needs root", errSkip)
	}
	for _, t := range append([]string{"ip"}, tools...) {
		if _, err := exec.LookPath(t); err != nil {
			return fmt.Errorf("%w: %s is not installed", errSkip, t)
		}
	}
	return nil
}

// withKernel builds namespaces, does the work, and removes them whatever happens.
func withKernel(ctx context.Context, tools []string, build func(k *kernel), work func(k *kernel) (float64, error)) (float64, error) {
	if err := needKernel(tools...); err != nil {
		return 0, err
	}
	k := &kernel{ctx: ctx}
	defer k.remove()
	build(k)
	if k.err != nil {
		return 0, fmt.Errorf("%w: %w", errSkip, k.err)
	}
	return work(k)
}

// name is what a namespace is really called.
func (k *kernel) name(ns string) string { return kernelPrefix + strconv.Itoa(os.Getpid()) + "-" + ns }

// do runs one command.
func (k *kernel) do(stdin string, args ...string) {
	if k.err = errors.Join(k.err, k.ctx.Err()); k.err != nil {
		return
	}
	cmd := exec.CommandContext(k.ctx, args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
}

// add makes a namespace.
func (k *kernel) add(ns string) {
	k.made = append(k.made, k.name(ns))
	k.do("", "ip", "netns", "add", k.name(ns))
	k.ip(ns, "link set lo up")
}

// ip runs ip(8) in a namespace, its arguments separated by spaces. A name behind an @ is that of a namespace.
func (k *kernel) ip(ns, args string) {
	list := []string{"ip", "-n", k.name(ns)}
	for a := range strings.FieldsSeq(args) {
		if other, ok := strings.CutPrefix(a, "@"); ok {
			a = k.name(other)
		}
		list = append(list, a)
	}
	k.do("", list...)
}

// forward sets ip_forward in a namespace.
func (k *kernel) forward(ns string) {
	k.do("1", "ip", "netns", "exec", k.name(ns), "tee", "/proc/sys/net/ipv4/ip_forward")
}

// nft loads rules into a namespace.
func (k *kernel) nft(ns, rules string) {
	k.do(rules, "ip", "netns", "exec", k.name(ns), "nft", "-f", "-")
}

// bridge makes a bridge.
func (k *kernel) bridge(ns, name string) {
	k.ip(ns, "link add "+name+" type bridge")
	k.ip(ns, "link set "+name+" up")
}

// plug makes a namespace with an interface eth0 whose other end is a port of br0 in host.
func (k *kernel) plug(host, ns, addr string) {
	k.add(ns)
	k.ip(host, "link add v"+ns+" type veth peer name eth0 netns @"+ns)
	k.ip(host, "link set v"+ns+" master br0 up")
	k.ip(ns, "addr add "+addr+" dev eth0")
	k.ip(ns, "link set eth0 up")
}

// cable joins two namespaces.
func (k *kernel) cable(a, addrA, b, addrB string) {
	k.ip(a, "link add e0 type veth peer name e0 netns @"+b)
	k.ip(a, "addr add "+addrA+" dev e0")
	k.ip(a, "link set e0 up")
	k.ip(b, "addr add "+addrB+" dev e0")
	k.ip(b, "link set e0 up")
}

// remove removes all namespaces, also after ctx ended. Their links go with them.
func (k *kernel) remove() {
	for _, ns := range k.made {
		exec.Command("ip", "netns", "del", ns).Run() //nolint:errcheck // there is nothing more to be done
	}
	k.made = nil
}

// removeStale removes the namespaces of processes that were killed before they could.
func removeStale() {
	if needKernel() != nil {
		return
	}
	left, _ := filepath.Glob(namespaces + kernelPrefix + "*") // the pattern is right
	for _, path := range left {
		ns := filepath.Base(path)
		pid, err := strconv.Atoi(strings.SplitN(strings.TrimPrefix(ns, kernelPrefix), "-", 2)[0])
		if err == nil && gone(pid) {
			exec.Command("ip", "netns", "del", ns).Run() //nolint:errcheck // likewise
		}
	}
}

// gone tells whether there is no process of that number.
func gone(pid int) bool {
	p, err := os.FindProcess(pid)
	return err != nil || errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
