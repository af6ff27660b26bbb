package dns

import (
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

// tasksReply is the reply of the model in the guide's era.
func tasksReply() *Reply {
	req := ask("tasks.web", mdns.TypeA)
	req.Id = 40312
	resp := newReply(req)
	resp.Answer = addrRecords(req.Question[0], ips("10.0.0.4", "10.0.0.3"), 600, 0)
	return &Reply{Server: serverAt("127.0.0.11"), Size: 77, msg: resp}
}

const tasksDig = `
; <<>> DiG 9.10.3-P4-Ubuntu <<>> tasks.web
;; global options: +cmd
;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 40312
;; flags: qr rd ra; QUERY: 1, ANSWER: 2, AUTHORITY: 0, ADDITIONAL: 0

;; QUESTION SECTION:
;tasks.web.			IN	A

;; ANSWER SECTION:
tasks.web.		600	IN	A	10.0.0.4
tasks.web.		600	IN	A	10.0.0.3

;; Query time: 0 msec
;; SERVER: 127.0.0.11#53(127.0.0.11)
;; WHEN: Wed Nov 23 09:41:10 UTC 2016
;; MSG SIZE  rcvd: 77

`

func TestFormatDig(t *testing.T) {
	o := DigOptions{Args: []string{"tasks.web"}, When: time.Date(2016, 11, 23, 9, 41, 10, 0, time.UTC)}
	if got := FormatDig(tasksReply(), o); got != tasksDig {
		t.Errorf("FormatDig = %s\nwant %s", got, tasksDig)
	}
	o.Short = true
	if got, want := FormatDig(tasksReply(), o), "10.0.0.4\n10.0.0.3\n"; got != want {
		t.Errorf("FormatDig short = %q; want %q", got, want)
	}
	o.Short, o.Hide = false, DigCmd|DigComments|DigQuestion|DigStats
	if got, want := FormatDig(tasksReply(), o), "tasks.web.\t\t600\tIN\tA\t10.0.0.4\ntasks.web.\t\t600\tIN\tA\t10.0.0.3\n\n"; got != want {
		t.Errorf("FormatDig with parts hidden = %q; want %q", got, want)
	}
}

// The rest of what dig shows: long names, all flags, EDNS, authority, odd codes.
func TestFormatDigMore(t *testing.T) {
	req := ask("web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet", mdns.TypeA)
	resp := new(mdns.Msg).SetReply(req)
	resp.Id, resp.Rcode, resp.Authoritative, resp.Truncated = 7, 15, true, true
	resp.Answer = addrRecords(req.Question[0], ips("10.0.0.4"), 600, 0)
	soa, err := mdns.NewRR("example.com. 3600 IN SOA ns.example.com. admin.example.com. 1 2 3 4 5")
	if err != nil {
		t.Fatal(err)
	}
	resp.Ns = []mdns.RR{soa}
	resp.SetEdns0(1232, true)
	got := FormatDig(&Reply{msg: resp}, DigOptions{Hide: DigCmd | DigStats})
	const want = `;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: RESERVED15, id: 7
;; flags: qr aa tc rd; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 1
;; WARNING: recursion requested but not available

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags: do; udp: 1232
;; QUESTION SECTION:
;web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet. IN A

;; ANSWER SECTION:
web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet. 600 IN	A 10.0.0.4

;; AUTHORITY SECTION:
example.com.		3600	IN	SOA	ns.example.com. admin.example.com. 1 2 3 4 5

`
	if got != want {
		t.Errorf("FormatDig = %s\nwant %s", got, want)
	}
}

func TestFormatNslookup(t *testing.T) { // D25
	server := serverAt("127.0.0.11")
	hosts := []NslookupHost{{ip("10.0.0.2"), ""}, {ip("10.0.0.4"), "web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet"}}
	const bind = "Server:\t\t127.0.0.11\nAddress:\t127.0.0.11#53\n\n"
	const busybox = "Server:    127.0.0.11\nAddress 1: 127.0.0.11\n\n"
	tests := []struct {
		name  string
		style NslookupStyle
		hosts []NslookupHost
		want  string
	}{
		{"bind", NslookupBind, hosts[:1], bind + "Non-authoritative answer:\nName:\tweb\nAddress: 10.0.0.2\n\n"},
		{"bind fails", NslookupBind, nil, bind + "** server can't find web: NXDOMAIN\n\n"},
		{"busybox", NslookupBusybox, hosts, busybox + "Name:      web\nAddress 1: 10.0.0.2\nAddress 2: 10.0.0.4 web.2.q1w2e3r4t5y6u7i8o9p0asdfg.shopnet\n"},
		{"busybox fails", NslookupBusybox, nil, busybox + "nslookup: can't resolve 'web'\n"},
	}
	for _, tt := range tests {
		if got := FormatNslookup(tt.style, server, "web", "NXDOMAIN", tt.hosts); got != tt.want {
			t.Errorf("%s: FormatNslookup = %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestParseType(t *testing.T) {
	for name, want := range map[string]Type{"A": TypeA, "aaaa": TypeAAAA, "Ptr": TypePTR, "ANY": TypeANY, "mx": TypeMX, "TXT": TypeTXT, "srv": TypeSRV, "type65": 65} {
		got, err := ParseType(name)
		if got != want || err != nil {
			t.Errorf("ParseType(%q) = %v, %v; want %v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "B", "TYPE", "TYPE70000"} {
		if got, err := ParseType(name); err == nil || !strings.Contains(err.Error(), "try A") {
			t.Errorf("ParseType(%q) = %v, %v; want an error that helps", name, got, err)
		}
	}
	if got := TypePTR.String(); got != "PTR" {
		t.Errorf("String = %q; want PTR", got)
	}
}

// nslookup and host have words for each type of record.
func TestRecordWords(t *testing.T) {
	for _, tt := range []struct{ rr, nslookup, host string }{
		{"web. 600 IN A 10.0.0.2", "Name:\tweb\nAddress: 10.0.0.2\n", "web has address 10.0.0.2\n"},
		{"web. 600 IN AAAA fd00::2", "Name:\tweb\nAddress: fd00::2\n", "web has IPv6 address fd00::2\n"},
		{"a.b. 60 IN MX 10 mail.a.b.", "a.b\tmail exchanger = 10 mail.a.b.\n", "a.b mail is handled by 10 mail.a.b.\n"},
		{"w.b. 60 IN CNAME a.b.", "w.b\tcanonical name = a.b.\n", "w.b is an alias for a.b.\n"},
		{`a.b. 60 IN TXT "x y"`, "a.b\ttext = \"x y\"\n", "a.b descriptive text \"x y\"\n"},
		{"a.b. 60 IN SOA ns.a.b. me.a.b. 1 2 3 4 5", "a.b\n\torigin = ns.a.b\n\tmail addr = me.a.b\n\tserial = 1\n\trefresh = 2\n\tretry = 3\n\texpire = 4\n\tminimum = 5\n",
			"a.b has SOA record ns.a.b. me.a.b. 1 2 3 4 5\n"},
		{"a.b. 60 IN CAA 0 issue \"ca\"", "a.b\trdata_257 = 0 issue \"ca\"\n", "a.b has CAA record 0 issue \"ca\"\n"},
	} {
		rr, err := mdns.NewRR(tt.rr)
		if err != nil {
			t.Fatal(err)
		}
		r := &Reply{Server: serverAt("127.0.0.11"), msg: &mdns.Msg{Answer: []mdns.RR{rr}}}
		const head = "Server:\t\t127.0.0.11\nAddress:\t127.0.0.11#53\n\nNon-authoritative answer:\n"
		if got, want := FormatNslookupRecords(NslookupBind, "web", r), head+tt.nslookup+"\n"; got != want {
			t.Errorf("nslookup of %s = %q; want %q", tt.rr, got, want)
		}
		if got := FormatHost(r.Records()[0]); got != tt.host {
			t.Errorf("host of %s = %q; want %q", tt.rr, got, tt.host)
		}
	}
}
