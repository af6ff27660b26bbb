package shell

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/iperf"
)

const iperfSpec = "s c: p: i: B: J 1 u b: t: n: l: P: R O: 4 V h v f: D server client: port: interval: bind: json one-off udp connect-timeout: bitrate: " +
	"bandwidth: time: bytes: length: parallel: reverse omit: help version version4 verbose format: forceflush daemon"

// runIperf3 is iperf3, client and server.
func runIperf3(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], iperfSpec)
	host, client := opts.last("c", "client")
	server := opts.has("s", "server")
	bad := func(text string) int {
		return c.say1("iperf3: parameter error - "+text+"\n\n"+c.usageOf("iperf3"), 1)
	}
	switch {
	case err != nil:
		return c.badOption(err)
	case opts.has("h", "help"):
		c.Printf("%s", c.usageOf("iperf3"))
		return 0
	case opts.has("v", "version"):
		c.Printf("iperf %s\n%s\n", iperf.Version, c.kernelText())
		return 0
	case len(rest) > 0:
		return c.usage(1)
	case client && server:
		return bad("cannot be both server and client")
	case !client && !server:
		return bad("must either be a client (-c) or server (-s)")
	}
	if server {
		for _, o := range opts {
			if strings.Contains(" u b t n P R O udp bitrate time bytes parallel reverse omit ", " "+o.name+" ") {
				return bad("some option you are trying to set is client only")
			}
		}
		return c.iperfServer(ctx, opts, bad)
	}
	return c.iperfClient(ctx, opts, host, bad)
}

// kernelText is what uname tells.
func (c *Call) kernelText() string { return "Linux " + c.Sys.hostname() + " " + kernel + " x86_64" }

func (c *Call) iperfServer(ctx context.Context, opts options, bad func(string) int) int {
	s := &iperf.Server{Net: c.Sys.NS, Once: opts.has("1", "one-off"), JSON: opts.has("J", "json"), Interval: time.Second, Out: c.Out, System: c.kernelText()}
	for _, o := range opts {
		var err error
		switch o.name {
		case "p", "port":
			s.Port, err = number(o.value, 1, 65535)
		case "i", "interval":
			s.Interval, err = iperfSeconds(o.value, 60)
		case "B", "bind":
			s.Address = o.value
		}
		if err != nil {
			return bad(err.Error())
		}
	}
	if err := s.Run(ctx); err != nil {
		return c.iperfError(err)
	}
	return 0
}

// iperfError says what went wrong, in the words of the C library where it is an error of the system.
func (c *Call) iperfError(err error) int {
	text := err.Error()
	var failed *iperf.ConnectError
	if errors.As(err, &failed) {
		text = failed.What + ": " + connectText(failed.Err)
		if strings.HasSuffix(failed.What, "to server") {
			text = failed.What + " - server may have stopped running or use a different port, firewall issue, etc.: " + connectText(failed.Err)
		}
	}
	return c.say1("iperf3: error - "+text, 1)
}

func (c *Call) iperfClient(ctx context.Context, opts options, host string, bad func(string) int) int {
	t := &iperf.Client{Net: c.Sys.NS, Host: host, UDP: opts.has("u", "udp"), Reverse: opts.has("R", "reverse"), JSON: opts.has("J", "json"),
		Interval: time.Second, Out: c.Out, System: c.kernelText()}
	for _, o := range opts {
		if err := iperfOption(t, o); err != nil {
			return bad(err.Error())
		}
	}
	addr, err := c.Sys.lookup(ctx, host)
	if err != nil {
		return c.say1("iperf3: error - unable to connect to server: Name or service not known", 1)
	}
	t.Address = addr.String()
	if r, ok := c.Sys.NS.RouteTo(addr); ok && r.Dev != nil {
		t.MSS = max(min(r.Dev.MTU(), 9000)-52, 16) // what is left by headers of TCP with timestamps
	}
	if err := t.Run(ctx); err != nil {
		if t.JSON {
			return 1
		}
		return c.iperfError(err)
	}
	return 0
}

func iperfOption(t *iperf.Client, o option) (err error) {
	switch o.name {
	case "p", "port":
		t.Port, err = number(o.value, 1, 65535)
	case "i", "interval":
		t.Interval, err = iperfSeconds(o.value, 60)
	case "t", "time":
		if t.Time, err = iperfSeconds(o.value, 86400); err == nil && t.Time == 0 {
			t.Time = 86400 * time.Second
		}
	case "O", "omit":
		t.Omit, err = iperfSeconds(o.value, 600)
	case "P", "parallel":
		t.Parallel, err = number(o.value, 1, 128)
	case "connect-timeout":
		var ms int
		ms, err = number(o.value, 1, maxSeconds)
		t.Connect = time.Duration(ms) * time.Millisecond
	case "b", "bitrate", "bandwidth":
		if t.Bitrate, err = iperfAmount(o.value, 1000); err == nil && t.Bitrate == 0 {
			t.Bitrate = -1
		}
	case "n", "bytes":
		var n float64
		n, err = iperfAmount(o.value, 1024)
		t.Bytes = int64(n)
	case "l", "length":
		var n float64
		n, err = iperfAmount(o.value, 1024)
		if t.Len = int(n); err == nil && (n < 1 || n > 1<<20) {
			err = errors.New("block size too large (maximum = 1048576 bytes)")
		}
	}
	return err
}

// iperfSeconds reads a time in seconds up to a bound.
func iperfSeconds(text string, most float64) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f <= most) {
		return 0, fmt.Errorf("a time of 0 to %g seconds is wanted, not %q", most, text)
	}
	return time.Duration(f * float64(time.Second)), nil
}

// iperfAmount reads a number with K, M, G or T behind it.
func iperfAmount(text string, base float64) (float64, error) {
	digits := strings.TrimRight(text, "kKmMgGtT")
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || len(text)-len(digits) > 1 || !(f >= 0 && f < 1e15) {
		return 0, fmt.Errorf("invalid number: %q", text)
	}
	if len(text) > len(digits) {
		f *= math.Pow(base, float64(strings.IndexByte("KMGT", strings.ToUpper(text)[len(digits)])+1))
	}
	if f >= 1e18 {
		return 0, fmt.Errorf("invalid number: %q", text)
	}
	return f, nil
}
