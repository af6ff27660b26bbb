package shell

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/netsim-lab/netsim/netns"
)

// linkChange is what ip link set is to do that gives way to another interface, which the other changes are then made to.
type linkChange struct {
	to   *netns.Namespace // nil: it stays
	name string           // "": the one it has
}

// linkSet is ip link set DEV up|down|mtu N|master BR|nomaster|netns NAME|name NAME.
func (i *ipCall) linkSet() error {
	name := i.next()
	if name == "dev" {
		name = i.next()
	}
	if name == "" {
		return &errIP{"Not enough information: \"dev\" argument is required.", 255}
	}
	change, err := i.linkChange()
	if err != nil {
		return err
	}
	dev, ok := i.ns.Interface(name)
	if !ok {
		return bad("Cannot find device \"" + name + "\"")
	}
	if dev, err = change.apply(dev); err != nil {
		return err
	}
	for len(i.args) > 0 {
		if err := i.linkSetOne(dev, i.next()); err != nil {
			return err
		}
	}
	return nil
}

// linkChange takes what moves or renames the interface out of the arguments.
func (i *ipCall) linkChange() (linkChange, error) {
	var c linkChange
	var rest []string
	for len(i.args) > 0 {
		word := i.next()
		if word != "netns" && word != "name" {
			rest = append(rest, word)
			if word == "mtu" || word == "master" {
				rest = append(rest, i.args[:min(1, len(i.args))]...)
				i.args = i.args[min(1, len(i.args)):]
			}
			continue
		}
		value := i.next()
		switch {
		case value == "":
			return c, incomplete()
		case word == "name" && !interfaceName(value):
			return c, &errIP{"Error: argument \"" + value + "\" is wrong: \"name\" not a valid ifname", 255}
		case word == "name":
			c.name = value
			continue
		}
		var ok bool
		if c.to, ok = i.namespace(value); !ok {
			return c, &errIP{"Error: argument \"" + value + "\" is wrong: Invalid \"netns\" value", 255}
		}
	}
	i.args = rest
	return c, nil
}

// namespace returns the one that a name of ip netns or the number of a process stands for.
func (i *ipCall) namespace(value string) (*netns.Namespace, bool) {
	if ns, ok := i.Sys.netns(value); ok {
		return ns, true
	}
	pid, err := strconv.Atoi(value)
	if err != nil {
		return nil, false
	}
	return i.Sys.processNS(pid)
}

// apply moves the interface, or renames it, and returns the one that it is then.
func (c linkChange) apply(dev *netns.Interface) (*netns.Interface, error) {
	var changed *netns.Interface
	var err error
	switch {
	case c.to != nil && c.to != dev.Namespace():
		changed, err = dev.Move(c.to, c.name)
	case c.name != "":
		changed, err = dev.Rename(c.name)
	default:
		return dev, nil
	}
	switch {
	case err == nil:
		return changed, nil
	case errors.Is(err, netns.ErrBusy) && len(dev.Uppers()) > 0:
		return nil, stoodOn(dev)
	case errors.Is(err, netns.ErrBusy):
		return nil, kernelSays("Device or resource busy")
	case errors.Is(err, netns.ErrTaken):
		return nil, kernelSays("File exists")
	}
	return nil, kernelSays("Invalid argument")
}

// stoodOn says why an interface stays where it is, which Linux would move, and leave what stands on top of it.
func stoodOn(dev *netns.Interface) error {
	var names []string
	for _, u := range dev.Uppers() {
		names = append(names, u.Name())
	}
	return &errIP{fmt.Sprintf("Error: %s on top of %s would not follow it here: delete first and add again later.", strings.Join(names, ", "), dev.Name()), 2}
}

func (i *ipCall) linkSetOne(dev *netns.Interface, what string) error {
	switch what {
	case "up":
		dev.SetUp(true)
	case "down":
		dev.SetUp(false)
	case "mtu":
		text := i.next()
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return &errIP{"Error: argument \"" + text + "\" is wrong: Invalid \"mtu\" value", 255}
		}
		if dev.SetMTU(n) != nil {
			return kernelSays("Invalid argument")
		}
	case "master":
		br, found := i.ns.Interface(i.next())
		if !found {
			return &errIP{"Error: argument \"master\" is wrong: Device does not exist", 255}
		}
		if dev.SetMaster(br) != nil {
			return kernelSays("Operation not supported")
		}
	case "nomaster":
		return dev.SetMaster(nil)
	case "promisc", "arp", "multicast":
		i.next()
	default:
		return &errIP{"Error: either \"dev\" is duplicate, or \"" + what + "\" is a garbage.", 255}
	}
	return nil
}

// interfaceName tells whether the kernel takes a name: 1 to 15 bytes without slashes and blanks (dev_valid_name).
func interfaceName(name string) bool {
	if name == "" || len(name) > 15 || name == "." || name == ".." {
		return false
	}
	for _, b := range []byte(name) {
		if b == '/' || b == ':' || b <= ' ' {
			return false
		}
	}
	return true
}

// incomplete is the error about a command line that ends too early.
func incomplete() error { return &errIP{"Command line is not complete. Try option \"help\"", 255} }
