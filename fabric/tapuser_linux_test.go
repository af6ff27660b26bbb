package fabric_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/kernel"
)

// tapUserRole is set in the process that is a user without rights.
const tapUserRole = "NETSIM_TEST_TAP_USER"

// A user without rights uses the device that root has made for it, and no other; what would help is told.
func TestKernelTAPOfAUser(t *testing.T) {
	if os.Getenv(tapUserRole) != "" {
		tapUser(t)
		return
	}
	ns := newKernel(t)
	sh(t, ns, "ip tuntap add mine mode tap user 65534", "ip addr add 10.9.0.1/24 dev mine", "ip link set mine up",
		"ip tuntap add roots mode tap user 0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copied := filepath.Join(dir, "test") // the user may not look into where go test puts it
	if err := errors.Join(copyFile(copied, self), os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
		t.Fatal(err)
	}
	// Everybody may open the file of the devices, as is usual but not everywhere: in a mount namespace of the command's own.
	user := fmt.Sprintf("cd / && %s=1 setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all %s -test.run '^TestKernelTAPOfAUser$' -test.v 2>&1",
		tapUserRole, copied)
	open := fmt.Sprintf("mknod -m 666 %[1]s/tun c 10 200 && mount --bind %[1]s/tun /dev/net/tun || exit 127; ", dir)
	out := sh(t, ns, "unshare -m sh -c \""+open+user+"\"")
	if !strings.Contains(out, "--- PASS: TestKernelTAPOfAUser") {
		t.Error(out)
	}
}

func tapUser(t *testing.T) {
	for _, plain := range []bool{false, true} {
		d, err := fabric.OpenTAP(fabric.TAPConfig{Name: "mine", Plain: plain})
		if err != nil {
			t.Fatal(err)
		}
		s := kernel.Settings{Up: true, Addr: netip.MustParsePrefix("10.9.0.1/24")} // as it is already
		if err := errors.Join(kernel.Configure("mine", s), d.Close()); err != nil {
			t.Error(err)
		}
		for name, want := range map[string]string{
			"new":   "sudo ip tuntap add new mode tap user $USER",
			"":      "sudo ip tuntap add tap0 mode tap user $USER",
			"roots": "the device is another user's",
		} {
			if _, err := fabric.OpenTAP(fabric.TAPConfig{Name: name, Plain: plain}); !errors.Is(err, kernel.ErrUnable) || !strings.Contains(err.Error(), want) {
				t.Errorf("OpenTAP(%q) = %v; want %q", name, err, want)
			}
		}
	}
	err := kernel.Configure("mine", kernel.Settings{Addr: netip.MustParsePrefix("10.8.0.1/24")})
	if !errors.Is(err, kernel.ErrUnable) || !strings.Contains(err.Error(), "sudo") {
		t.Errorf("Configure = %v", err)
	}
	if err := kernel.Check(); !errors.Is(err, kernel.ErrUnable) {
		t.Errorf("Check = %v", err)
	}
	if _, err := kernel.NewNamespace(); !errors.Is(err, kernel.ErrUnable) {
		t.Errorf("NewNamespace = %v", err)
	}
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
