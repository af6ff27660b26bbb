package fabric

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"

	"github.com/netsim-lab/netsim/fabric/kernel"
)

const tunPath = "/dev/net/tun"

// openTAP opens the device in the best way that the kernel has.
func openTAP(name string, plain bool) (tapEnd, string, error) {
	existed := exists(name)
	if !plain {
		end, got, err := openVnet(name, existed)
		if err == nil {
			return end, got, tune(end, got, existed)
		}
		if !errors.Is(err, errNoVnet) {
			return nil, "", explainTAP(err, name, existed)
		}
	}
	end, got, err := openWater(name, existed)
	if err != nil {
		return nil, "", explainTAP(err, name, existed)
	}
	return end, got, tune(end, got, existed)
}

func exists(name string) bool {
	if name == "" {
		return false
	}
	_, err := net.InterfaceByName(name)
	return err == nil
}

// tune gives a device that was made a longer queue. One that existed is left as it is.
func tune(end tapEnd, name string, existed bool) error {
	if existed {
		return nil
	}
	if err := kernel.Configure(name, kernel.Settings{TxQueue: tapQueue}); err != nil {
		return errors.Join(err, end.Close())
	}
	return nil
}

// explainTAP says what would help.
func explainTAP(err error, name string, existed bool) error {
	shown := name
	if shown == "" {
		shown = "tap0"
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there; \"sudo modprobe tun\" makes it, or --device %s for a container", kernel.ErrUnable, tunPath, tunPath)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: this user may not open %s; run netsim with sudo, or let everybody open it, as is usual, with \"sudo chmod 666 %s\"",
			kernel.ErrUnable, tunPath, tunPath)
	case errors.Is(err, unix.EPERM) && existed:
		return fmt.Errorf("%w: the device is another user's; run netsim with sudo, or have it made anew with \"sudo ip tuntap add %s mode tap user $USER\"",
			kernel.ErrUnable, shown)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: this user may not make one; run netsim with sudo, give the program the right with "+
			"\"sudo setcap cap_net_admin+ep\", or have root make a device for you with \"sudo ip tuntap add %s mode tap user $USER\"",
			kernel.ErrUnable, shown)
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%w: the kernel has no TAP devices: %w", kernel.ErrUnable, err)
	case errors.Is(err, unix.EBUSY):
		return errors.New("another program uses it; choose another name")
	case errors.Is(err, unix.EINVAL) && existed:
		return errors.New("a device of that name exists and is no TAP device with one queue; choose another name")
	}
	return err
}

// tapFile is the file of a TAP device, of which reads do not wait.
type tapFile struct {
	f       *os.File
	raw     syscall.RawConn
	existed bool
}

func newTAPFile(f *os.File, existed bool) (tapFile, error) {
	raw, err := f.SyscallConn()
	return tapFile{f, raw, existed}, err
}

// offload says what the kernel may leave to us (TUNSETOFFLOAD).
func (t *tapFile) offload(features int) error {
	var err error
	if e := t.raw.Control(func(fd uintptr) { err = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, features) }); e != nil {
		return e
	}
	return err
}

// Close closes the file. A device that stays is left without offloads, for whoever uses it next may know none.
func (t *tapFile) Close() error {
	if t.existed {
		_ = t.offload(0) // it may be gone
	}
	return t.f.Close()
}

// judge tells whether an error of a write costs one frame, and why, or means that the device is gone.
func judge(err error) (DropReason, error) {
	switch {
	case errors.Is(err, unix.EIO): // it is down
		return DropLinkDown, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EFAULT), errors.Is(err, unix.EMSGSIZE):
		return DropTransport, nil
	}
	return 0, gone(err)
}

// gone puts ErrTAPGone in place of the errors that mean it.
func gone(err error) error {
	for _, e := range []error{unix.EBADFD, unix.EFAULT, unix.EIO, unix.ENODEV} {
		if errors.Is(err, e) {
			return ErrTAPGone
		}
	}
	if strings.Contains(err.Error(), "not pollable") { // the poller saw the device go before us
		return ErrTAPGone
	}
	return err
}

// waterEnd reads and writes wire frames one by one, over songgao/water: the way that every kernel knows.
type waterEnd struct {
	tapFile
	dev   *water.Interface
	in    []byte
	out   []byte
	batch [1]*Frame
}

func openWater(name string, existed bool) (*waterEnd, string, error) {
	// Without Persist a device that exists would go when it is closed.
	params := water.PlatformSpecificParams{Name: name, Persist: existed}
	dev, err := water.New(water.Config{DeviceType: water.TAP, PlatformSpecificParams: params})
	if err != nil {
		return nil, "", err
	}
	f, ok := dev.ReadWriteCloser.(*os.File)
	if !ok {
		return nil, "", errors.Join(errors.New("it is no file"), dev.Close())
	}
	t, err := newTAPFile(f, existed)
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	_ = t.offload(0) // who used it before may have known more
	return &waterEnd{tapFile: t, dev: dev, in: make([]byte, 1<<16)}, dev.Name(), nil
}

func (w *waterEnd) read(c *Counters) ([]*Frame, error) {
	for {
		n, err := w.dev.Read(w.in)
		if err != nil {
			return nil, gone(err)
		}
		f := FromBytes(w.in[:n])
		if r := f.arrive(vnetHeader{}); r != 0 {
			c.Drop(f, r, w.dev.Name())
			continue
		}
		w.batch[0] = f
		return w.batch[:], nil
	}
}

func (w *waterEnd) write(f *Frame) (lost int, why DropReason, err error) {
	cut := f.Cut()
	for i := range max(1, int(f.Segs)) {
		w.out = cut.Append(w.out[:0], i)
		if _, err := w.dev.Write(w.out); err != nil {
			if why, err = judge(err); err != nil {
				return lost, 0, err
			}
			lost++
		}
	}
	return lost, why, nil
}

func (w *waterEnd) segment(bool) error { return nil }
func (w *waterEnd) whole() bool        { return false }

// ifreq is struct ifreq as TUNSETIFF takes it.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

// errNoVnet is why a device cannot be opened with virtio's headers on a kernel that has TAP devices.
var errNoVnet = errors.New("the kernel knows no virtio headers")

// offloads are what the kernel may leave to us: checksums, and trains of TCP over IPv4, with congestion marks or without.
const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO_ECN

// openVnet opens the device with a vnetHeader in front of each frame.
func openVnet(name string, existed bool) (*vnetEnd, string, error) {
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", err
	}
	got, err := attachVnet(fd, name)
	if err != nil {
		_ = unix.Close(fd) // the error is told
		return nil, "", err
	}
	f := os.NewFile(uintptr(fd), tunPath)
	t, err := newTAPFile(f, existed)
	if err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return newVnetEnd(t), got, nil
}

func attachVnet(fd int, name string) (got string, err error) {
	features, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES)
	if err == nil && features&unix.IFF_VNET_HDR == 0 {
		return "", errNoVnet
	}
	req := ifreq{flags: unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); no != 0 {
		return "", no
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return "", errNoVnet
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return "", errNoVnet
	}
	return unix.ByteSliceToString(req.name[:]), nil
}
