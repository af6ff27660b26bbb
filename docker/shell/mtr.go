package shell

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/netsim-lab/netsim/fabric/wire"
	"github.com/netsim-lab/netsim/netns"
)

// mtr is one run of mtr. Its requests have sequence numbers that say which hop, and which round, they are of.
type mtr struct {
	*Call
	name     string
	dst      netip.Addr
	cycles   int
	interval time.Duration
	grace    time.Duration // for answers behind the last round
	hops     int
	size     int
	numeric  bool
	wide     bool
	icmp     *netns.RawConn
	id       uint16
	rows     []mtrRow // of hop 1 on
	sentAt   map[uint16]mtrProbe
	seq      uint16
	end      int // the hop of the destination; 0: not yet known
}

// mtrProbe is a request under way.
type mtrProbe struct {
	hop int
	at  time.Time
}

// mtrRow is what is known of a hop; times are in milliseconds.
type mtrRow struct {
	from                    netip.Addr
	sent, got               int
	last, best, worst, mean float64
	squares                 float64 // of the distances from the mean (Welford)
}

// runMtr is mtr as it reports: there is no screen to draw on, so it always does.
func runMtr(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "r w n b j h v 4 c: i: s: m: G: report report-wide no-dns json help report-cycles: interval: psize: max-ttl: gracetime: show-ips")
	switch {
	case err != nil:
		return c.badOption(err)
	case opts.has("h", "help"):
		c.Printf("%s", c.usageOf("mtr"))
		return 0
	case len(rest) > 1:
		return c.usage(1)
	case len(rest) == 0:
		rest = []string{"localhost"} // as the real one does
	}
	m := &mtr{Call: c, name: rest[0], cycles: 10, interval: time.Second, grace: 5 * time.Second, hops: 30, size: 64,
		numeric: opts.has("n", "no-dns"), wide: opts.has("w", "report-wide"), sentAt: map[uint16]mtrProbe{}}
	for _, o := range opts {
		switch o.name {
		case "c", "report-cycles":
			m.cycles, err = number(o.value, 1, math.MaxInt32)
		case "i", "interval":
			m.interval, err = seconds(o.value)
			m.interval = max(m.interval, 2*time.Millisecond)
		case "G", "gracetime":
			m.grace, err = seconds(o.value)
		case "s", "psize":
			m.size, err = number(o.value, wire.IPv4Len+wire.ICMPLen, 4470)
		case "m", "max-ttl":
			m.hops, err = number(o.value, 1, 255)
		}
		if err != nil {
			return c.fail(1, "%v", err)
		}
	}
	if m.dst, err = c.Sys.lookup(ctx, m.name); err != nil {
		return c.fail(1, "Failed to resolve host: %s: Name or service not known", m.name)
	}
	if code := m.measure(ctx); code != 0 {
		return code
	}
	if opts.has("j", "json") {
		return m.json(ctx)
	}
	m.report(ctx)
	return 0
}

// measure sends all rounds and gathers their answers.
func (m *mtr) measure(ctx context.Context) int {
	pinger, err := m.Sys.NS.NewPinger() // for an identifier that nobody else has
	if err != nil {
		return m.Errorf("%s", errnoText(err))
	}
	defer pinger.Close() //nolint:errcheck // it returns nil
	m.id = pinger.ID()
	if m.icmp, err = m.Sys.NS.ListenRaw(wire.ProtoICMP); err != nil {
		return m.Errorf("%s", errnoText(err))
	}
	defer m.icmp.Close() //nolint:errcheck // it returns nil
	m.icmp.Follow(ctx)
	m.rows = make([]mtrRow, m.hops)
	next := time.Now()
	for round := range m.cycles {
		m.ask()
		next = next.Add(m.interval)
		if round == m.cycles-1 {
			next = time.Now().Add(max(m.grace, m.interval))
		}
		m.gather(ctx, next, round == m.cycles-1)
		if ctx.Err() != nil {
			break // an interrupt ends the rounds, and what there is is reported
		}
	}
	return 0
}

// ask sends a request to each hop up to the destination; a round to begin with ends where the answers so far do.
func (m *mtr) ask() {
	last := m.hops
	if m.end > 0 {
		last = m.end
	}
	for hop := 1; hop <= last; hop++ {
		m.seq++
		b := make([]byte, m.size-wire.IPv4Len)
		wire.PutICMP(b, wire.ICMPEcho, 0, uint32(m.id)<<16|uint32(m.seq))
		wire.ICMP(b).FillChecksum()
		m.rows[hop-1].sent++
		m.sentAt[m.seq] = mtrProbe{hop, time.Now()}
		_ = m.icmp.Send(m.dst, b, netns.RawOptions{TTL: hop}) // what cannot be sent is lost
	}
}

// gather takes answers until a time, or with last until all are there.
func (m *mtr) gather(ctx context.Context, until time.Time, last bool) {
	wait, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	for !last || !m.complete() {
		p, err := m.icmp.Read(wait)
		if err != nil {
			return
		}
		m.take(p)
	}
}

// complete tells whether nothing that counts is under way.
func (m *mtr) complete() bool {
	for _, p := range m.sentAt {
		if m.end == 0 || p.hop <= m.end {
			return false
		}
	}
	return true
}

// take matches an ICMP message with a request.
func (m *mtr) take(p netns.RawPacket) {
	i, err := wire.ParseICMP(p.Body)
	if err != nil {
		return
	}
	var seq uint16
	switch {
	case i.Type() == wire.ICMPEchoReply && i.ID() == m.id:
		seq = i.Seq()
	case i.IsError():
		h, err := wire.ParseIPv4(p.Body[wire.ICMPLen:])
		if err != nil || h.Dst() != m.dst || h.Proto() != wire.ProtoICMP || len(p.Body) < wire.ICMPLen+h.HeaderLen()+8 {
			return
		}
		inner := p.Body[wire.ICMPLen+h.HeaderLen():]
		if binary.BigEndian.Uint16(inner[4:]) != m.id {
			return
		}
		seq = binary.BigEndian.Uint16(inner[6:])
	}
	q, ok := m.sentAt[seq]
	if !ok {
		return
	}
	delete(m.sentAt, seq)
	m.rows[q.hop-1].note(p.Src, max(float64(p.At-q.at.UnixNano())/1e6, 0))
	if i.Type() != wire.ICMPTimeExceeded && (m.end == 0 || q.hop < m.end) {
		m.end = q.hop
	}
}

// note adds an answer.
func (r *mtrRow) note(from netip.Addr, ms float64) {
	r.from, r.last = from, ms
	if r.got++; r.got == 1 {
		r.best = ms
	}
	r.best, r.worst = min(r.best, ms), max(r.worst, ms)
	before := r.mean
	r.mean += (ms - before) / float64(r.got)
	r.squares += (ms - before) * (ms - r.mean)
}

// loss is the share of requests without an answer, in percent.
func (r *mtrRow) loss() float64 {
	if r.sent == 0 {
		return 0
	}
	return 100 * float64(r.sent-min(r.got, r.sent)) / float64(r.sent)
}

// deviation is the standard deviation of the round trips.
func (r *mtrRow) deviation() float64 {
	if r.got < 2 {
		return 0
	}
	return math.Sqrt(r.squares / float64(r.got-1))
}

// shown are the hops that a report has: up to the destination, or to the last that answered and one more.
func (m *mtr) shown() []mtrRow {
	if m.end > 0 {
		return m.rows[:m.end]
	}
	last := 0
	for n, r := range m.rows {
		if r.got > 0 {
			last = n + 1
		}
	}
	return m.rows[:min(last+1, len(m.rows))]
}

// host is the name of a hop.
func (m *mtr) host(ctx context.Context, r mtrRow) string {
	if !r.from.IsValid() {
		return "???"
	}
	if m.numeric {
		return r.from.String()
	}
	return cmp.Or(m.Sys.reverse(ctx, r.from), r.from.String())
}

// mtrWidth is the width of a report's column of names, unless it is to be wide.
const mtrWidth = 28

// report prints the table.
func (m *mtr) report(ctx context.Context) {
	lookups := context.WithoutCancel(ctx)
	rows := m.shown()
	names, width := make([]string, len(rows)), mtrWidth
	for n, r := range rows {
		names[n] = m.host(lookups, r)
		if m.wide {
			width = max(width, len(names[n]))
		}
	}
	m.Printf("Start: %s\n", time.Now().Format("2006-01-02T15:04:05-0700"))
	m.Printf("HOST: %-*.*s Loss%%   Snt   Last   Avg  Best  Wrst StDev\n", width, width, m.Sys.hostname())
	for n, r := range rows {
		m.Printf("%3d.|-- %-*.*s %5.1f%% %5d %6.1f %5.1f %5.1f %5.1f %5.1f\n", n+1, width-2, width-2, names[n], r.loss(), r.sent,
			r.last, r.mean, r.best, r.worst, r.deviation())
	}
}

// json prints the report as mtr -j does.
func (m *mtr) json(ctx context.Context) int {
	type hub struct {
		Count int     `json:"count"`
		Host  string  `json:"host"`
		Loss  float64 `json:"Loss%"`
		Snt   int     `json:"Snt"`
		Last  float64 `json:"Last"`
		Avg   float64 `json:"Avg"`
		Best  float64 `json:"Best"`
		Wrst  float64 `json:"Wrst"`
		StDev float64 `json:"StDev"`
	}
	var doc struct {
		Report struct {
			MTR struct {
				Src   string `json:"src"`
				Dst   string `json:"dst"`
				TOS   int    `json:"tos"`
				Tests int    `json:"tests"`
				Psize string `json:"psize"`
			} `json:"mtr"`
			Hubs []hub `json:"hubs"`
		} `json:"report"`
	}
	h := &doc.Report.MTR
	h.Src, h.Dst, h.Tests, h.Psize = m.Sys.hostname(), m.name, m.cycles, fmt.Sprint(m.size)
	round := func(f float64) float64 { return math.Round(f*1000) / 1000 }
	for n, r := range m.shown() {
		doc.Report.Hubs = append(doc.Report.Hubs, hub{n + 1, m.host(context.WithoutCancel(ctx), r), round(r.loss()), r.sent,
			round(r.last), round(r.mean), round(r.best), round(r.worst), round(r.deviation())})
	}
	text, err := json.MarshalIndent(doc, "", "    ")
	if err != nil {
		return m.Errorf("%v", err)
	}
	m.Printf("%s\n", text)
	return 0
}
