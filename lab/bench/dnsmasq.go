package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// kernelDNS asks dnsmasq over the loopback interface of a kernel namespace.
func kernelDNS(ctx context.Context, cfg Config) (float64, error) {
	build := func(k *kernel) { k.add("a") }
	return withKernel(ctx, []string{"dnsmasq"}, build, func(k *kernel) (float64, error) {
		stop, err := k.dnsmasq("a")
		if err != nil {
			return 0, err
		}
		defer stop()
		return measureIn(ctx, k.name("a"), task{Role: "ask", Addr: "127.0.0.1:53", Duration: cfg.Duration})
	})
}

// dnsmasq starts a server with all names in a namespace, and waits until it answers.
func (k *kernel) dnsmasq(ns string) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "netsim-bench")
	if err != nil {
		return nil, err
	}
	var hosts strings.Builder
	for i := range names {
		fmt.Fprintf(&hosts, "%s %s\n", hostAddr(i), hostName(i))
	}
	file := filepath.Join(dir, "hosts")
	if err := os.WriteFile(file, []byte(hosts.String()), 0o644); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	var said strings.Builder
	cmd := exec.CommandContext(k.ctx, "ip", "netns", "exec", k.name(ns), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
		"--no-resolv", "--no-hosts", "--addn-hosts="+file, "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file", "--user=root")
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	stop = func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // killed
		os.RemoveAll(dir)  //nolint:errcheck // a temporary one
	}
	for range 100 {
		if _, err = measureIn(k.ctx, k.name(ns), task{Role: "ask", Addr: "127.0.0.1:53", Duration: time.Millisecond}); err == nil {
			return stop, nil
		}
	}
	stop()
	return nil, fmt.Errorf("dnsmasq does not answer: %w %s", err, strings.TrimSpace(said.String()))
}
