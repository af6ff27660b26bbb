package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/netns"
)

const (
	dumpFrames = 4096     // frames that wait to be printed
	dumpBytes  = 16 << 20 // and their bytes
	dumpSnap   = 262144
)

// dumper is one run of tcpdump.
type dumper struct {
	*Call
	filter   predicate
	count    int // 0: until it is ended
	verbose  bool
	frames   chan dumped
	bytes    atomic.Int64
	received atomic.Uint64 // wire frames that the filter took
	dropped  atomic.Uint64 // and those for which there was no room
	printer  *dumpPrinter
	any      bool
}

// dumped is a frame that waits.
type dumped struct {
	f  *fabric.Frame
	at time.Time
	in string // the interface
}

// runTcpdump is tcpdump: -i IFACE|any, -c, -n, -e, -v, -q, -l, -s, -t, -x is not known, -w FILE writes pcapng.
func runTcpdump(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "i: c: n e v q l s: t w: U p K S A X T: D N O B: immediate-mode")
	if err != nil {
		return c.badOption(err)
	}
	d := &dumper{Call: c, verbose: opts.has("v"), frames: make(chan dumped, dumpFrames)}
	if n, ok := opts.last("c"); ok {
		if d.count, err = number(n, 1, 1<<30); err != nil {
			return c.Errorf("invalid packet count %s", n)
		}
	}
	if opts.has("D") {
		for _, i := range c.Sys.NS.Interfaces() {
			c.Printf("%d.%s\n", i.Index(), i.Name())
		}
		return 0
	}
	d.filter, err = compileFilter(strings.Join(rest, " "), func(name string) ([]netip.Addr, error) { return c.Sys.lookupAll(ctx, name) })
	if err != nil {
		return c.Errorf("%v", err)
	}
	name, _ := opts.last("i")
	ifaces, err := d.interfaces(name)
	if err != nil {
		return c.Errorf("%v", err)
	}
	if name == "" {
		name = ifaces[0].Name()
	}
	d.printer = newDumpPrinter(opts)
	if file, ok := opts.last("w"); ok {
		return d.write(ctx, name, ifaces, file)
	}
	return d.print(ctx, name, ifaces)
}

// interfaces returns what to listen on: the first that is up, the named one, or any.
func (d *dumper) interfaces(name string) ([]*netns.Interface, error) {
	var all []*netns.Interface
	for _, i := range d.Sys.NS.Interfaces() {
		if i.Name() == name || name == "" && i.Up() && i.Kind() != netns.KindLoopback {
			return []*netns.Interface{i}, nil
		}
		all = append(all, i)
	}
	d.any = name == "any"
	if !d.any && name != "" || len(all) == 0 {
		return nil, fmt.Errorf("%s: No such device exists\n(SIOCGIFHWADDR: No such device)", name)
	}
	return all, nil
}

// banner says that it listens.
func (d *dumper) banner(name string, file bool) {
	lead := ""
	switch {
	case d.verbose || file:
		lead = "tcpdump: "
	default:
		d.say("tcpdump: verbose output suppressed, use -v or -vv for full protocol decode")
	}
	link := "EN10MB (Ethernet)"
	if name == "any" {
		link = "LINUX_SLL (Linux cooked)"
	}
	d.say("%slistening on %s, link-type %s, capture size %d bytes", lead, name, link, dumpSnap)
}

// footer says what was captured.
func (d *dumper) footer(captured int, received, dropped uint64) {
	d.say("%s captured\n%s received by filter\n%s dropped by kernel", packets(uint64(captured)), packets(received), packets(dropped))
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

// print prints packets until there are enough or ctx ends.
func (d *dumper) print(ctx context.Context, name string, ifaces []*netns.Interface) int {
	var removes []func()
	for _, i := range ifaces {
		removes = append(removes, i.Taps().Add(fabric.TapFunc(func(_ fabric.Direction, f *fabric.Frame) { d.see(i.Name(), f) })))
	}
	d.banner(name, false)
	captured := 0
	for ctx.Err() == nil && (d.count == 0 || captured < d.count) {
		select {
		case r := <-d.frames:
			captured += d.show(r, captured)
		case <-ctx.Done():
			d.say("")
		}
	}
	for _, remove := range removes {
		remove()
	}
	d.drain()
	d.footer(captured, max(d.received.Load(), uint64(captured)), d.dropped.Load())
	return 0
}

// see notes a frame on the data path.
func (d *dumper) see(name string, f *fabric.Frame) {
	n := int64(f.Len())
	if d.bytes.Add(n) > dumpBytes {
		d.bytes.Add(-n)
		d.dropped.Add(uint64(max(f.Segs, 1)))
		return
	}
	r := dumped{f: f.Clone(), at: time.Now(), in: name}
	select {
	case d.frames <- r:
	default:
		d.bytes.Add(-n)
		r.f.Free()
		d.dropped.Add(uint64(max(f.Segs, 1)))
	}
}

// show prints the wire frames of a train that pass the filter, and returns how many it printed.
func (d *dumper) show(r dumped, captured int) (n int) {
	d.bytes.Add(-int64(r.f.Len()))
	defer r.f.Free()
	var b strings.Builder
	for i := range max(int(r.f.Segs), 1) {
		p := decode(r.f.AppendSegment(nil, i))
		if !d.filter(p) {
			continue
		}
		d.received.Add(1)
		if d.count > 0 && captured+n >= d.count {
			continue
		}
		n++
		b.WriteString(d.printer.line(p, r.at))
	}
	if b.Len() > 0 {
		if _, err := io.WriteString(d.Out, b.String()); err != nil {
			d.count = 1 // nobody reads: it is over
		}
	}
	return n
}

func (d *dumper) drain() {
	for {
		select {
		case r := <-d.frames:
			r.f.Free()
		default:
			return
		}
	}
}

// write writes a file, or with - the standard output, until there are enough packets or ctx ends.
func (d *dumper) write(ctx context.Context, name string, ifaces []*netns.Interface, file string) int {
	out := d.Out
	if file != "-" {
		f, err := d.Sys.open(absolute(d.Dir, file), os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
		if err != nil {
			return d.Errorf("%s: %s", file, errnoText(err))
		}
		defer f.Close() //nolint:errcheck // what was written is stored
		out = f
	}
	capture := fabric.NewCapture(out, fabric.CaptureConfig{Count: uint64(d.count), Filter: func(_ fabric.Direction, f *fabric.Frame) bool {
		return d.filter(decode(f.AppendSegment(nil, 0)))
	}})
	for _, i := range ifaces {
		defer i.Taps().Add(capture.Interface(i.Name()))()
	}
	d.banner(name, true)
	if err := capture.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return d.Errorf("%s: %s", file, errnoText(err))
	}
	s := capture.Stats()
	d.footer(int(s.Written), s.Written+s.Dropped, s.Dropped)
	return 0
}
