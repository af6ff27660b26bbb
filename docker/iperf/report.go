package iperf

import (
	"fmt"
	"io"
	"time"
)

// reporter prints a test as iperf3 does, or gathers it for one document of JSON.
type reporter struct {
	out      io.Writer
	interval time.Duration // 0: no reports but the last
	json     bool
	client   bool
	far      *results // what the other end counted
	took     float64  // seconds of the test
	doc      document

	last   float64 // the end of the interval before
	before []counts
	begun  bool
}

const rule = "- - - - - - - - - - - - - - - - - - - - - - - - -\n"

func (r *reporter) printf(format string, args ...any) {
	if !r.json {
		fmt.Fprintf(r.out, format, args...) //nolint:errcheck // nobody reads
	}
}

func (r *reporter) connecting(t *clientTest) {
	port := t.Port
	if port == 0 {
		port = DefaultPort
	}
	r.printf("Connecting to host %s, port %d\n", t.Host, port)
	if t.p.Reverse {
		r.printf("Reverse mode, remote host %s is sending\n", t.Host)
	}
	r.doc.begin(t.System, t.cookie, t.p)
	r.doc.Start.ConnectingTo = &place{t.Host, port}
}

func (r *reporter) accepted(t *serverTest) {
	_, from := ends(t.ctl)
	r.printf("Accepted connection from %s, port %d\n", from.Addr(), from.Port())
	r.doc.begin(t.System, string(t.cookie[:cookieLen-1]), &t.p)
	r.doc.Start.Accepted = &place{from.Addr().String(), int(from.Port())}
}

func (r *reporter) connected(s *session) {
	for n, st := range s.streams {
		local, remote := ends(st.conn)
		r.printf("[%3d] local %s port %d connected to %s port %d\n", socketNumber(n), local.Addr(), local.Port(), remote.Addr(), remote.Port())
		r.doc.Start.Connected = append(r.doc.Start.Connected, connection{socketNumber(n), local.Addr().String(), int(local.Port()), remote.Addr().String(), int(remote.Port())})
	}
}

func (r *reporter) begin(s *session) { r.before = make([]counts, len(s.streams)) }

// header prints the line above figures.
func (r *reporter) header(s *session, final bool) {
	more := ""
	switch {
	case s.p.UDP && s.sender && !final:
		more = "         Total Datagrams"
	case s.p.UDP:
		more = "         Jitter    Lost/Total Datagrams"
	}
	r.printf("[ ID] Interval           Transfer     Bitrate%s\n", more)
}

// intervalOf reports on what passed since the interval before.
func (r *reporter) intervalOf(s *session, now float64) {
	if !r.begun {
		r.begun = true
		r.header(s, false)
	} else if len(s.streams) > 1 {
		r.printf("%s", rule)
	}
	var sum counts
	var one intervalDoc
	for n, st := range s.streams {
		c := st.read()
		d := c.minus(r.before[n])
		if d.bytes < 0 { // what was omitted was counted before
			d = c
		}
		r.before[n] = c
		sum = sum.plus(d, len(s.streams))
		r.line(s, fmt.Sprintf("%3d", socketNumber(n)), r.last, now, d, "")
		one.Streams = append(one.Streams, figuresOf(s, socketNumber(n), r.last, now, d))
	}
	if len(s.streams) > 1 {
		r.line(s, "SUM", r.last, now, sum, "")
	}
	one.Sum = figuresOf(s, 0, r.last, now, sum)
	r.doc.Intervals = append(r.doc.Intervals, one)
	r.last = now
}

// rest reports on what passed since the last interval, if that is worth a line, and ends the count.
func (r *reporter) rest(s *session, now float64) {
	if r.took = now; r.interval > 0 && (!r.begun || now-r.last > 0.1*r.interval.Seconds()) {
		r.intervalOf(s, now)
	}
}

// plus adds up the figures of several streams; their jitter is a mean.
func (c counts) plus(d counts, streams int) counts {
	return counts{c.bytes + d.bytes, c.packets + d.packets, c.lost + d.lost, c.late + d.late, c.jitter + d.jitter/float64(streams)}
}

// line prints one line of figures; with role it is one of the summary.
func (r *reporter) line(s *session, id string, from, to float64, c counts, role string) {
	seconds := to - from
	rate := 0.0
	if seconds > 0 {
		rate = float64(c.bytes) * 8 / seconds
	}
	head := fmt.Sprintf("[%s] %6.2f-%-6.2f sec  %s  %s/sec", id, from, to, amount(float64(c.bytes), 1024, "Bytes"), amount(rate, 1000, "bits"))
	switch {
	case !s.p.UDP:
		r.printf("%s                  %s\n", head, role)
	case s.sender && role == "":
		r.printf("%s  %d  \n", head, c.packets)
	default:
		share := 0.0
		if c.packets > 0 {
			share = 100 * float64(c.lost) / float64(c.packets)
		}
		r.printf("%s  %5.3f ms  %d/%d (%.2g%%)  %s\n", head, c.jitter*1000, c.lost, c.packets, share, role)
	}
}

// amount prints a number in four places, with the unit that fits.
func amount(v, base float64, unit string) string {
	prefixes := []string{"", "K", "M", "G", "T"}
	n := 0
	for v >= base && n < len(prefixes)-1 {
		v /= base
		n++
	}
	digits := 0
	switch {
	case v < 9.995:
		digits = 2
	case v < 99.95:
		digits = 1
	}
	return fmt.Sprintf("%4.*f %s%s", digits, v, prefixes[n], unit)
}

// farCounts are what the other end counted of a stream.
func (r *reporter) farCounts(id int) (c counts, took float64) {
	if r.far == nil {
		return c, 0
	}
	for _, st := range r.far.Streams {
		if st.ID == id {
			return counts{bytes: st.Bytes, packets: st.Packets, lost: st.Errors, jitter: st.Jitter}, st.End
		}
	}
	return c, 0
}

// summary prints what each end counted; a server prints its own side.
func (r *reporter) summary(s *session) {
	r.printf("%s", rule)
	r.header(s, true)
	var sums [2]counts // of the sender, and of the receiver
	var times [2]float64
	for n, st := range s.streams {
		own, far := 0, 1
		if !s.sender {
			own, far = 1, 0
		}
		var c [2]counts
		var took [2]float64
		c[own], took[own] = st.read(), r.took
		if c[far], took[far] = r.farCounts(st.id); took[far] <= 0 {
			took[far] = r.took
		}
		for side, role := range []string{"sender", "receiver"} {
			if s.p.UDP && side == 0 {
				c[side].lost, c[side].jitter = 0, 0
			}
			sums[side] = sums[side].plus(c[side], len(s.streams))
			times[side] = max(times[side], took[side])
			if r.client || side == own {
				r.line(s, fmt.Sprintf("%3d", socketNumber(n)), 0, took[side], c[side], role)
			}
		}
		r.doc.stream(s, n, c, took)
	}
	for side, role := range []string{"sender", "receiver"} {
		if len(s.streams) > 1 && (r.client || s.sender == (side == 0)) {
			r.line(s, "SUM", 0, times[side], sums[side], role)
		}
	}
	r.doc.sums(s, sums, times)
	if r.client {
		r.printf("\niperf Done.\n")
	}
}
