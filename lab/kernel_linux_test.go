package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/netsim-lab/netsim/docker/shell"
)

// The test below plays in two network namespaces of the kernel, each of which belongs to a process that is this test binary
// again; all of it goes with the processes. The first runs a lab, the second is a host of it, by a vxlan device, and a
// veth pair connects them.
const (
	kernelRole = "NETSIM_TEST_KERNEL_ROLE" // which of the processes this one is; empty: the test itself
	roleLab    = "lab"
	roleKernel = "kernel"

	kernelBulk = 100_000_000
)

// kernelLab has a host that is a Linux kernel with a vxlan device of VNI 42.
const kernelLab = `
netsim: 1
name: kernel
fabric:
  listen: 192.168.77.1:4789
  switches: {tor: {}}
  hosts:
    client: {links: {tor: 10.77.0.1/24}}
    linux: {links: {tor: 10.77.0.2/24}, remote: 192.168.77.2:4789}
  links: [{between: [linux, tor], vni: 42}]
`

func TestKernelIsAHost(t *testing.T) {
	switch os.Getenv(kernelRole) {
	case roleLab:
		labSide(t)
		return
	case roleKernel:
		kernelSide(os.Stdin)
		return
	}
	for _, tool := range []string{"ip", "ping"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
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
	case !strings.Contains(string(out), "--- PASS: TestKernelIsAHost"):
		t.Fatalf("the test did not run:\n%s", out)
	}
}

// reexec returns this very test as another process; it ends with this one.
func reexec(role string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKernelIsAHost$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), kernelRole+"="+role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// tools runs commands one after the other.
func tools(commands ...string) error {
	for _, c := range commands {
		words := strings.Fields(c)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", c, err, out)
		}
	}
	return nil
}

// linuxHost is the process that is a host of the lab.
type linuxHost struct {
	testing.TB
	in  io.WriteCloser
	out *bufio.Scanner
}

// ask has the process do something and returns what it answers.
func (k *linuxHost) ask(what string) string {
	k.Helper()
	fmt.Fprintln(k.in, what) //nolint:errcheck // the answer is missed
	for k.out.Scan() {
		if answer, ok := strings.CutPrefix(k.out.Text(), "= "); ok {
			return answer
		}
	}
	k.Fatalf("no answer to %q", what)
	return ""
}

func startLinuxHost(t *testing.T) *linuxHost {
	t.Helper()
	cmd := reexec(roleKernel)
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("SKIP: no second network namespace: %v", err)
	}
	t.Cleanup(func() {
		_ = in.Close() // it ends then
		if err := cmd.Wait(); err != nil {
			t.Errorf("the kernel's side: %v", err)
		}
	})
	if err := tools(fmt.Sprintf("ip link add u0 type veth peer name u1 netns %d", cmd.Process.Pid),
		"ip addr add 192.168.77.1/24 dev u0", "ip link set u0 up", "ip link set lo up"); err != nil {
		t.Skipf("SKIP: %v", err)
	}
	return &linuxHost{TB: t, in: in, out: bufio.NewScanner(out)}
}

func labSide(t *testing.T) {
	k := startLinuxHost(t)
	if got := k.ask("setup"); got != "ok" {
		t.Skipf("SKIP: the kernel has no vxlan device for us: %s", got)
	}
	l := start(t, kernelLab, Config{})
	client := l.MustNode("client")
	for _, line := range []string{"ping -c 3 -w 10 -i 0.05 linux", "ping -c 3 -w 10 -i 0.05 -s 65000 linux"} {
		var out strings.Builder
		if exit, err := client.Run(soon(t), line, shell.Stdio{Out: &out, Err: &out}); err != nil || exit != 0 {
			t.Errorf("%s: %d, %v\n%s", line, exit, err, out.String())
		}
	}
	for _, size := range []string{"56", "65000"} {
		if got := k.ask("ping " + size); got != "ok" {
			t.Errorf("ping of %s bytes from the kernel: %s", size, got)
		}
	}
	conn, err := client.Dial(soon(t), "tcp", "10.77.0.2:7000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(conn, random(kernelBulk)); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	want := sumOf(kernelBulk)
	if got := k.ask("sum"); got != want {
		t.Errorf("the kernel got %s; want %s", got, want)
	}
	ln, err := client.Listen("tcp", ":7000")
	if err != nil {
		t.Fatal(err)
	}
	sum := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			sum <- err.Error()
			return
		}
		got, _ := takeSum(conn) // what is missing shows in the sum
		sum <- got
	}()
	if got := k.ask("send"); got != "ok" {
		t.Errorf("from the kernel: %s", got)
	}
	if got := <-sum; got != want {
		t.Errorf("the lab got %s; want %s", got, want)
	}
	for _, d := range l.Drops() {
		if strings.Contains(d.Place, "vxlan") && d.Reason != "queue-full" {
			t.Errorf("%s dropped %d: %s", d.Place, d.Frames, d.Reason)
		}
	}
}

// kernelSide does what the other process asks for, line by line.
func kernelSide(in io.Reader) {
	sum := make(chan string, 1)
	for s := bufio.NewScanner(in); s.Scan(); {
		answer, err := "ok", error(nil)
		verb, arg, _ := strings.Cut(s.Text(), " ")
		switch verb {
		case "setup":
			err = kernelSetup(sum)
		case "ping":
			err = tools("ping -c 3 -w 10 -i 0.2 -s " + arg + " 10.77.0.1")
		case "sum":
			answer = <-sum
		case "send":
			err = kernelSend()
		}
		if err != nil {
			answer = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println("= " + answer)
	}
}

// kernelSetup does what the README tells a user to do, and listens for one connection.
func kernelSetup(sum chan<- string) error {
	err := tools("ip addr add 192.168.77.2/24 dev u1", "ip link set u1 up", "ip link set lo up",
		"ip link add vx0 type vxlan id 42 dstport 4789 local 192.168.77.2 remote 192.168.77.1",
		"ip addr add 10.77.0.2/24 dev vx0", "ip link set vx0 up")
	if err != nil {
		return err
	}
	if err := fillChecksums("vx0"); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "10.77.0.2:7000")
	if err != nil {
		return err
	}
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			sum <- err.Error()
			return
		}
		got, _ := takeSum(conn) // what is missing shows in the sum
		sum <- got
	}()
	return nil
}

// fillChecksums is ethtool -K DEV tx off.
func fillChecksums(dev string) error {
	const siocEthtool, setTxCsum = 0x8946, 0x17
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd) //nolint:errcheck // it was only to ask
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

func kernelSend() error {
	conn, err := net.Dial("tcp", "10.77.0.1:7000")
	if err != nil {
		return err
	}
	if _, err := io.Copy(conn, random(kernelBulk)); err != nil {
		return err
	}
	return conn.Close()
}
