package dns

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

// DigOptions says how FormatDig prints a reply. The zero value prints all of it, as if asked at the zero time.
type DigOptions struct {
	Args []string  // the command line after "dig"
	When time.Time // when the reply came
	// Short prints the data of the answers and nothing else, as +short does.
	Short bool
	// Hide leaves out the parts that +nocmd, +nocomments, +noquestion and +nostats do.
	Hide DigParts
}

// DigParts is a set of parts of dig's output.
type DigParts uint8

// The parts that can be hidden.
const (
	DigCmd      DigParts = 1 << iota // the first lines, with the command
	DigComments                      // the header and the titles of sections
	DigQuestion
	DigAnswer
	DigAuthority
	DigAdditional
	DigStats
)

// digVersion is the version that the output is modelled on.
const digVersion = "9.10.3-P4-Ubuntu"

// FormatDig returns what dig prints for a reply.
func FormatDig(r *Reply, o DigOptions) string {
	var b strings.Builder
	if o.Short {
		for _, rr := range r.msg.Answer {
			b.WriteString(rdataText(rr) + "\n")
		}
		return b.String()
	}
	if o.Hide&DigCmd == 0 {
		b.WriteString(DigBanner(o.Args))
	}
	if o.Hide&DigComments == 0 {
		b.WriteString(";; Got answer:\n")
		digHeader(&b, r.msg)
	}
	digSections(&b, r.msg, o.Hide)
	if o.Hide&DigStats == 0 {
		fmt.Fprintf(&b, ";; Query time: %d msec\n", r.RoundTrip.Milliseconds())
		fmt.Fprintf(&b, ";; SERVER: %s#%d(%s)\n", r.Server.Addr(), r.Server.Port(), r.Server.Addr())
		fmt.Fprintf(&b, ";; WHEN: %s\n", o.When.Format("Mon Jan 02 15:04:05 MST 2006"))
		fmt.Fprintf(&b, ";; MSG SIZE  rcvd: %d\n\n", r.Size)
	}
	return b.String()
}

// DigBanner returns the lines that dig begins with, whatever becomes of the query.
func DigBanner(args []string) string {
	return fmt.Sprintf("\n; <<>> DiG %s <<>> %s\n;; global options: +cmd\n", digVersion, strings.Join(args, " "))
}

// DigNoServers is what dig prints after its banner when no server has answered.
const DigNoServers = ";; connection timed out; no servers could be reached\n"

// digHeader prints the header and the EDNS record.
func digHeader(b *strings.Builder, m *mdns.Msg) {
	fmt.Fprintf(b, ";; ->>HEADER<<- opcode: %s, status: %s, id: %d\n", mdns.OpcodeToString[m.Opcode], (&Reply{msg: m}).Status(), m.Id)
	fmt.Fprintf(b, ";; flags:%s; QUERY: %d, ANSWER: %d, AUTHORITY: %d, ADDITIONAL: %d\n",
		digFlags(m), len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra))
	if m.RecursionDesired && !m.RecursionAvailable {
		b.WriteString(";; WARNING: recursion requested but not available\n")
	}
	b.WriteString("\n")
	if opt := m.IsEdns0(); opt != nil {
		flags := ""
		if opt.Do() {
			flags = " do"
		}
		fmt.Fprintf(b, ";; OPT PSEUDOSECTION:\n; EDNS: version: %d, flags:%s; udp: %d\n", opt.Version(), flags, opt.UDPSize())
	}
}

// digFlags lists the flags of a header, each after a space.
func digFlags(m *mdns.Msg) string {
	flags := []struct {
		set  bool
		name string
	}{
		{m.Response, " qr"}, {m.Authoritative, " aa"}, {m.Truncated, " tc"}, {m.RecursionDesired, " rd"},
		{m.RecursionAvailable, " ra"}, {m.AuthenticatedData, " ad"}, {m.CheckingDisabled, " cd"},
	}
	text := ""
	for _, f := range flags {
		if f.set {
			text += f.name
		}
	}
	return text
}

// digSections prints the question and the sections with records.
func digSections(b *strings.Builder, m *mdns.Msg, hide DigParts) {
	comments := hide&DigComments == 0
	if hide&DigQuestion == 0 && len(m.Question) > 0 {
		if comments {
			b.WriteString(";; QUESTION SECTION:\n")
		}
		for _, q := range m.Question {
			line := columns{}
			line.text(q.Name).column(32).text(mdns.Class(q.Qclass).String()).column(40).text(mdns.Type(q.Qtype).String())
			b.WriteString(";" + line.String() + "\n")
		}
		b.WriteString("\n")
	}
	sections := []struct {
		part    DigParts
		title   string
		records []mdns.RR
	}{{DigAnswer, "ANSWER", m.Answer}, {DigAuthority, "AUTHORITY", m.Ns}, {DigAdditional, "ADDITIONAL", m.Extra}}
	for _, s := range sections {
		if hide&s.part == 0 {
			digRecords(b, s.title, s.records, comments)
		}
	}
}

// digRecords prints a section that has records other than the EDNS one.
func digRecords(b *strings.Builder, title string, records []mdns.RR, comments bool) {
	printed := false
	for _, rr := range records {
		h := rr.Header()
		if h.Rrtype == mdns.TypeOPT {
			continue
		}
		if !printed && comments {
			b.WriteString(";; " + title + " SECTION:\n")
		}
		printed = true
		line := columns{}
		line.text(h.Name).column(24).text(strconv.FormatUint(uint64(h.Ttl), 10))
		line.column(32).text(mdns.Class(h.Class).String()).column(40).text(mdns.Type(h.Rrtype).String())
		line.column(48).text(rdataText(rr))
		b.WriteString(line.String() + "\n")
	}
	if printed {
		b.WriteString("\n")
	}
}

// columns builds a line whose parts start at tab stops.
type columns struct {
	strings.Builder
	at int
}

const tabWidth = 8

// text appends s.
func (c *columns) text(s string) *columns {
	c.WriteString(s)
	c.at += len(s)
	return c
}

// column goes to the column with as few tabs as it takes, or one space on if the line is past it.
func (c *columns) column(to int) *columns {
	to = max(to, c.at+1)
	if tabs := to/tabWidth - c.at/tabWidth; tabs > 0 {
		c.WriteString(strings.Repeat("\t", tabs))
		c.at = to / tabWidth * tabWidth
	}
	c.WriteString(strings.Repeat(" ", to-c.at))
	c.at = to
	return c
}
