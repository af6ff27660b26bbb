package dns

import (
	"fmt"
	"net/netip"
	"strings"
)

// NslookupHost is an address that nslookup found, with its reverse name if it has one.
type NslookupHost struct {
	Addr netip.Addr
	Name string
}

// NslookupStyle says whose nslookup to look like.
type NslookupStyle uint8

// The styles of nslookup.
const (
	NslookupBind    NslookupStyle = iota // bind9-dnsutils
	NslookupBusybox                      // busybox before 1.30
)

// FormatNslookup returns what nslookup prints for a name that server resolved to hosts; with none, that it did not, for
// the reason that the status names.
func FormatNslookup(style NslookupStyle, server netip.AddrPort, name, status string, hosts []NslookupHost) string {
	if style == NslookupBusybox {
		return nslookupBusybox(server, name, hosts)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Server:\t\t%s\nAddress:\t%s#%d\n\n", server.Addr(), server.Addr(), server.Port())
	if len(hosts) == 0 {
		b.WriteString(nslookupNothing(name, status))
		return b.String()
	}
	b.WriteString("Non-authoritative answer:\n")
	for _, h := range hosts {
		fmt.Fprintf(&b, "Name:\t%s\nAddress: %s\n", name, h.Addr)
	}
	b.WriteString("\n")
	return b.String()
}

// nslookupBusybox is FormatNslookup in busybox's style.
func nslookupBusybox(server netip.AddrPort, name string, hosts []NslookupHost) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Server:    %s\nAddress 1: %s\n\n", server.Addr(), server.Addr())
	if len(hosts) == 0 {
		fmt.Fprintf(&b, "nslookup: can't resolve '%s'\n", name)
		return b.String()
	}
	fmt.Fprintf(&b, "Name:      %s\n", name)
	for i, h := range hosts {
		fmt.Fprintf(&b, "Address %d: %s", i+1, h.Addr)
		if h.Name != "" {
			b.WriteString(" " + h.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// nslookupNothing says that a name has none of what was asked for.
func nslookupNothing(name, status string) string {
	if status == "NOERROR" {
		return "*** Can't find " + name + ": No answer\n\n"
	}
	return "** server can't find " + name + ": " + status + "\n\n"
}

// FormatNslookupRecords returns what nslookup -type=TYPE prints for the answer to its question for name; the style is
// bind9-dnsutils' or that of busybox since 1.30, whose older ones knew no types.
func FormatNslookupRecords(style NslookupStyle, name string, r *Reply) string {
	var b strings.Builder
	between := "#"
	if style == NslookupBusybox {
		between = ":"
	}
	fmt.Fprintf(&b, "Server:\t\t%s\nAddress:\t%s%s%d\n\n", r.Server.Addr(), r.Server.Addr(), between, r.Server.Port())
	records := r.Records()
	if len(records) == 0 {
		b.WriteString(nslookupNothing(name, r.Status()))
		return b.String()
	}
	if !r.Authoritative() {
		b.WriteString("Non-authoritative answer:\n")
	}
	for _, rec := range records {
		b.WriteString(nslookupRecord(&rec))
	}
	b.WriteString("\n")
	return b.String()
}

// nslookupRecord is one record in nslookup's words.
func nslookupRecord(r *Record) string {
	name := strings.TrimSuffix(r.Name, ".")
	words := map[Type]string{TypePTR: "name", TypeMX: "mail exchanger", TypeSRV: "service", TypeTXT: "text", TypeNS: "nameserver", TypeCNAME: "canonical name"}
	switch {
	case r.Type == TypeA || r.Type == TypeAAAA:
		return "Name:\t" + name + "\nAddress: " + r.Data + "\n"
	case r.Type == TypeSOA && len(strings.Fields(r.Data)) == 7:
		f := strings.Fields(r.Data)
		return fmt.Sprintf("%s\n\torigin = %s\n\tmail addr = %s\n\tserial = %s\n\trefresh = %s\n\tretry = %s\n\texpire = %s\n\tminimum = %s\n",
			name, strings.TrimSuffix(f[0], "."), strings.TrimSuffix(f[1], "."), f[2], f[3], f[4], f[5], f[6])
	case words[r.Type] != "":
		return name + "\t" + words[r.Type] + " = " + r.Data + "\n"
	}
	return fmt.Sprintf("%s\trdata_%d = %s\n", name, uint16(r.Type), r.Data)
}

// FormatHost returns the line that host prints for a record.
func FormatHost(r Record) string {
	words := map[Type]string{TypeA: "has address", TypeAAAA: "has IPv6 address", TypePTR: "domain name pointer", TypeMX: "mail is handled by", TypeSRV: "has SRV record",
		TypeTXT: "descriptive text", TypeNS: "name server", TypeCNAME: "is an alias for", TypeSOA: "has SOA record"}
	what, ok := words[r.Type]
	if !ok {
		what = "has " + r.Type.String() + " record"
	}
	return strings.TrimSuffix(r.Name, ".") + " " + what + " " + r.Data + "\n"
}
