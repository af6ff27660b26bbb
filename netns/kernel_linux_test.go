package netns

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/netsim-lab/netsim/vxlan"
)

// The test below plays in two network namespaces of the kernel, each of which belongs to a process that is this test
// binary again; all of it goes with the processes. The first holds the lab and a real UDP socket, the second a vxlan
// device of the kernel's, and a veth pair connects them.
const (
	kernelRole = "NETSIM_TEST_KERNEL_ROLE" // which of the processes this one is; empty: the test itself
	roleLab    = "lab"
	roleKernel = "kernel"

	labUnderlay, kernelUnderlay = "192.168.77.1", "192.168.77.2"
	labOverlay, kernelOverlay   = "10.77.0.1", "10.77.0.2"
)

// A namespace and Linux's vxlan device are on one overlay: each reaches the other, small and large (L22).
func TestKernelVXLAN(t *testing.T) {
	switch os.Getenv(kernelRole) {
	case roleLab:
		labSide(t)
		return
	case roleKernel:
		if err := kernelSide(os.Stdin); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the ip command of iproute2 is not installed")
	}
	cmd := reexec(roleLab)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &exit):
		t.Skipf("no network namespace can be made here: %v", err)
	case strings.Contains(string(out), "SKIP: "):
		t.Skip(string(out))
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case !strings.Contains(string(out), "--- PASS: TestKernelVXLAN"):
		t.Fatalf("the test did not run:\n%s", out)
	}
}

// reexec returns this very test as another process; it ends with this one.
func reexec(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKernelVXLAN$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), kernelRole+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func ip(args string) error {
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", args, err, out)
	}
	return nil
}

func ips(commands ...string) error {
	for _, c := range commands {
		if err := ip(c); err != nil {
			return err
		}
	}
	return nil
}

// kernel is the process that holds the kernel's end of the overlay.
type kernel struct {
	testing.TB
	in  io.WriteCloser
	out *bufio.Scanner
}

func startKernel(t testing.TB) (k *kernel, pid int) {
	t.Helper()
	cmd := reexec(roleKernel)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	cmd.Stderr = os.Stderr
	in := must(cmd.StdinPipe())
	out := must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIP: no second network namespace: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the kernel's side: %v", err)
		}
	})
	return &kernel{TB: t, in: in, out: bufio.NewScanner(out)}, cmd.Process.Pid
}

// ask has the process do something and returns what it answers.
func (k *kernel) ask(what string) string {
	k.Helper()
	fmt.Fprintln(k.in, what)
	for k.out.Scan() {
		if answer, ok := strings.CutPrefix(k.out.Text(), "= "); ok {
			return answer
		}
	}
	k.Fatalf("no answer to %q", what)
	return ""
}

func labSide(t *testing.T) {
	l := newLab(t)
	k, pid := startKernel(t)
	if err := ips(fmt.Sprintf("link add u0 type veth peer name u1 netns %d", pid), "addr add "+labUnderlay+"/24 dev u0", "link set u0 up"); err != nil {
		t.Skipf("SKIP: %v", err)
	}
	if got := k.ask("setup"); got != "ok" {
		t.Skipf("SKIP: the kernel has no vxlan device for us: %s", got)
	}
	socket := must(vxlan.ListenUDP(vxlan.UDPConfig{Listen: netip.MustParseAddrPort(labUnderlay + ":4789")}))
	l.wg.Go(func() {
		if err := socket.Run(l.ctx); err != nil {
			l.Error(err)
		}
	})
	vtep := vxlan.New(vxlan.Config{Local: addr(labUnderlay), Transport: socket})
	dev := must(vtep.Add(vxlan.DeviceConfig{VNI: 257, Learning: true, Flood: []netip.Addr{addr(kernelUnderlay)}}))
	ns := l.add(Config{Name: "c1"})
	must(ns.AddInterface(InterfaceConfig{Name: "vxlan0", Kind: KindVXLAN, Port: dev, MTU: 1450, Addr: prefix(labOverlay + "/24")}))

	p := must(ns.NewPinger())
	for _, size := range []int{56, 1422} { // the largest that fits (L14)
		if err := p.Send(addr(kernelOverlay), PingOptions{Size: size, DF: true}); err != nil {
			t.Fatal(err)
		}
		if r, err := p.Receive(l.within(patience)); err != nil || r.TTL != 64 {
			t.Fatalf("ping of %d bytes: %+v, %v", size, r, err)
		}
	}
	if _, _, err := l.talk(ns, kernelOverlay+":7000", 4_000_000); err != nil {
		t.Errorf("from the lab to the kernel: %v", err)
	}
	l.echo(ns, ":80")
	if got := k.ask("dial"); got != "ok" {
		t.Errorf("from the kernel to the lab: %s", got)
	}
	if got := k.ask("fdb"); !strings.Contains(got, must2(ns.Interface("vxlan0")).MAC().String()+" dst "+labUnderlay) {
		t.Errorf("the kernel learned %q", got)
	}
	if d := vtep.Read().Drops; d != nil {
		t.Errorf("the VTEP dropped %v", d)
	}
}

// kernelSide does what the other process asks for, line by line.
func kernelSide(in io.Reader) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for s := bufio.NewScanner(in); s.Scan(); {
		answer, err := "ok", error(nil)
		switch s.Text() {
		case "setup":
			var ln net.Listener
			if ln, err = kernelSetup(); err == nil {
				defer ln.Close()
				wg.Go(func() { echoOnce(ln) })
			}
		case "dial":
			err = kernelDial()
		case "fdb":
			var out []byte
			out, err = exec.Command("bridge", "fdb", "show", "dev", "vx0").CombinedOutput()
			answer = strings.ReplaceAll(string(out), "\n", "; ")
		}
		if err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println("= " + answer)
	}
	return nil
}

func kernelSetup() (net.Listener, error) {
	if err := ips("addr add "+kernelUnderlay+"/24 dev u1", "link set u1 up",
		"link add vx0 type vxlan id 257 dstport 4789 local "+kernelUnderlay+" remote "+labUnderlay,
		"addr add "+kernelOverlay+"/24 dev vx0", "link set vx0 up"); err != nil {
		return nil, err
	}
	if err := fillChecksums("vx0"); err != nil {
		return nil, err
	}
	return net.Listen("tcp", kernelOverlay+":7000")
}

// fillChecksums is ethtool -K DEV tx off. A vxlan device leaves the inner checksums to the network card, and a veth pair,
// which is none, leaves them out: only another vxlan device of the same kernel knows that they are not to be looked at.
func fillChecksums(dev string) error {
	const siocEthtool, setTxCsum = 0x8946, 0x17
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	value := struct{ cmd, data uint32 }{cmd: setTxCsum}
	req := struct {
		name [16]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(req.name[:15], dev)
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), siocEthtool, uintptr(unsafe.Pointer(&req))); no != 0 {
		return fmt.Errorf("turn checksum offload of %s off: %w", dev, no)
	}
	return nil
}

func echoOnce(ln net.Listener) {
	c, err := ln.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = io.Copy(c, c) // whoever sent it sees what is missing
}

func kernelDial() error {
	c, err := net.DialTimeout("tcp", labOverlay+":80", patience)
	if err != nil {
		return err
	}
	defer c.Close()
	return exchange(c, 4_000_000)
}
