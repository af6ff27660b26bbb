package topology

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Expose makes a port of a node reachable at an address of the machine that runs the lab.
type Expose struct {
	Pos    Pos
	Listen netip.AddrPort // of the machine; loopback unless the file says another; port 0: any that is free
	Node   Node
	Port   uint16 // of the node
}

// Target returns NODE:PORT.
func (e *Expose) Target() string { return e.Node.Text + ":" + strconv.Itoa(int(e.Port)) }

// exposeForms is what a message offers when an exposed port cannot be read.
const exposeForms = `8080: "host-a:8000" or "0.0.0.0:8080": "host-a:8000"`

// ParseExpose reads the flag form LISTEN=NODE:PORT of an exposed port and adds it to the spec. LISTEN is PORT, which is
// one of 127.0.0.1, or ADDRESS:PORT. Mistakes come as Errors.
func (s *Spec) ParseExpose(text string) error {
	r := &reader{file: "--expose " + clip(text)}
	at := Pos{File: r.file}
	listen, target, ok := strings.Cut(text, "=")
	if !ok {
		r.failAt(at, "write PORT=NODE:PORT, like 8080=host-a:8000")
		return r.errs
	}
	e := r.exposed(at, at, listen, target)
	c := newChecker(r, s)
	c.collect()
	if len(r.errs) == 0 {
		c.checkExpose(&e, s.Expose)
	}
	if len(r.errs) > 0 {
		return r.errs
	}
	s.Expose = append(s.Expose, e)
	return nil
}

func (r *reader) exposes(n *yaml.Node) []Expose {
	var all []Expose
	for _, e := range r.entries(n, "expose") {
		if target, ok := r.scalar(e.value, "an exposed port"); ok {
			all = append(all, r.exposed(r.pos(e.key), r.pos(e.value), e.key.Value, target))
		}
	}
	return all
}

// exposed reads an exposed port, whose two halves are at two places.
func (r *reader) exposed(listenPos, targetPos Pos, listen, target string) Expose {
	e := Expose{Pos: listenPos}
	var err error
	if e.Listen, err = ParseListen(listen); err != nil {
		r.failAt(listenPos, "expose %q: %v; write %s", clip(listen), err, exposeForms)
	}
	node, port, ok := cutLast(target, ":")
	if !ok || node == "" {
		r.failAt(targetPos, "expose to %q: it is not NODE:PORT; write %s", clip(target), exposeForms)
		return e
	}
	n, err := portNumber(port)
	if err != nil {
		r.failAt(targetPos, "expose to %q: %v", clip(target), err)
	}
	e.Node, e.Port = Node{Pos: targetPos, Text: node}, uint16(n)
	return e
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// ParseListen reads PORT, of 127.0.0.1, or ADDRESS:PORT. Port 0 is any that is free. Nobody but this machine reaches what
// listens on loopback; another address has to be written down.
func ParseListen(text string) (netip.AddrPort, error) {
	if !strings.Contains(text, ":") {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("%q is not a port number", clip(text))
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), nil
	}
	text = strings.Replace(text, "localhost:", "127.0.0.1:", 1)
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, errors.New("it is neither PORT nor ADDRESS:PORT")
	}
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), nil
}

func (c *checker) checkExposes() {
	for i := range c.spec.Expose {
		c.checkExpose(&c.spec.Expose[i], c.spec.Expose[:i])
	}
}

// checkExpose finds the node of an exposed port, which may be a router, too, and reports an address that another has.
func (c *checker) checkExpose(e *Expose, before []Expose) {
	switch c.nodes[e.Node.Text].kind {
	case kindRouter:
		e.Node.Host = e.Node.Text
	case kindSwitch:
		c.failAt(e.Node.Pos, "%q is a switch, which has no ports for programs; name a host, a router, a container or a task", e.Node.Text)
	default:
		c.settleNode(&e.Node, made{})
	}
	if c.kernelHost(&e.Node) {
		c.failAt(e.Node.Pos, "%q is a host of the kernel, whose ports cannot be exposed; name a simulated node", e.Node.Host)
	}
	for _, o := range before {
		if e.Listen.Port() != 0 && e.Listen == o.Listen {
			c.failAt(e.Pos, "%s is exposed already, to %s at %s", e.Listen, o.Target(), o.Pos)
			return
		}
	}
}
