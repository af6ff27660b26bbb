package directory

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/fabric/wire"
)

func sample() cnm.Record {
	return cnm.Record{
		Key: "ep1", Node: "host-a", VTEP: netip.MustParseAddr("192.168.1.2"), IP: netip.MustParsePrefix("10.0.0.3/24"),
		MAC: wire.MAC{2, 0x42, 10, 0, 0, 3}, Name: "web.1.abc", Aliases: []string{"c0ffee"}, Disabled: true,
		Service: &cnm.ServiceBinding{
			ServiceID: "svc1", ServiceName: "web", VIP: netip.MustParseAddr("10.0.0.2"), Aliases: []string{"www"}, TaskName: "web.1.abc",
			IngressPorts: []cnm.PortConfig{{Proto: "tcp", Published: 8000, Target: 80, Name: "http"}},
		},
	}
}

func TestCodec(t *testing.T) {
	plain := sample()
	plain.Service, plain.Aliases, plain.Disabled = nil, nil, false
	dnsrr := sample()
	dnsrr.Service.VIP, dnsrr.Service.IngressPorts = netip.Addr{}, nil
	for _, want := range []cnm.Record{sample(), plain, dnsrr} {
		e, p, err := encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got := cnm.Record{Key: want.Key, Node: want.Node}
		if err := decodeEndpoint(e, &got); err != nil {
			t.Fatal(err)
		}
		if err := decodePeer(p, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("decode(encode(r)) = %+v; want %+v", got, want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", maxName+1)
	for _, test := range []struct{ what, endpoint, peer string }{
		{"no JSON", "{", "{"},
		{"no address", `{"name":"web"}`, `{"mac":"02:42:0a:00:00:03","vtep":"192.168.1.2"}`},
		{"too much", `{"ip":"10.0.0.3/24","name":"` + strings.Repeat("x", maxValue) + `"}`, strings.Repeat(" ", maxValue+1)},
		{"an address of everybody", `{"ip":"224.0.0.1/24"}`, `{"ip":"10.0.0.3/24","mac":"02:42:0a:00:00:03","vtep":"255.255.255.255"}`},
		{"an address of nobody", `{"ip":"0.0.0.0/0"}`, `{"ip":"10.0.0.3/24","mac":"00:00:00:00:00:00","vtep":"192.168.1.2"}`},
		{"hardware of many", `{"ip":"127.0.0.1/8"}`, `{"ip":"10.0.0.3/24","mac":"01:00:5e:00:00:03","vtep":"192.168.1.2"}`},
		{"a long name", `{"ip":"10.0.0.3/24","name":"` + long + `"}`, ""},
		{"many names", `{"ip":"10.0.0.3/24","aliases":["a"` + strings.Repeat(`,"a"`, maxNames) + `]}`, ""},
		{"a service without a name", `{"ip":"10.0.0.3/24","service":{"id":"x","vip":""}}`, ""},
		{"a VIP of everybody", `{"ip":"10.0.0.3/24","service":{"id":"x","name":"y","vip":"255.255.255.255"}}`, ""},
		{"a port of nothing", `{"ip":"10.0.0.3/24","service":{"id":"x","name":"y","vip":"","ports":[{"proto":"tcp","published":80}]}}`, ""},
		{"a strange protocol", `{"ip":"10.0.0.3/24","service":{"id":"x","name":"y","vip":"","ports":[{"proto":"-j","published":80,"target":80}]}}`, ""},
	} {
		var r cnm.Record
		if err := decodeEndpoint([]byte(test.endpoint), &r); err == nil {
			t.Errorf("%s: decodeEndpoint took %s", test.what, test.endpoint)
		}
		if err := decodePeer([]byte(test.peer), &r); err == nil {
			t.Errorf("%s: decodePeer took %s", test.what, test.peer)
		}
		if !reflect.DeepEqual(r, cnm.Record{}) {
			t.Errorf("%s: left %+v behind", test.what, r)
		}
	}
}

// FuzzDecode: what others tell is refused, or means what encoding it again says.
func FuzzDecode(f *testing.F) {
	e, p, err := encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(e, p)
	f.Add([]byte(`{"ip":"10.0.0.3/24","service":{"id":"x","name":"y","vip":""}}`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, e, p []byte) {
		var r cnm.Record
		if decodeEndpoint(e, &r) != nil || decodePeer(p, &r) != nil {
			return
		}
		e1, p1, err := encode(r)
		if err != nil {
			t.Fatal(err)
		}
		var again cnm.Record
		if len(e1) > maxValue { // JSON has shorter ways to write some texts than the one that is ours
			return
		}
		if err := decodeEndpoint(e1, &again); err != nil {
			t.Fatalf("%s: %v", e1, err)
		}
		if err := decodePeer(p1, &again); err != nil {
			t.Fatalf("%s: %v", p1, err)
		}
		e2, p2, err := encode(again)
		if err != nil || !bytes.Equal(e1, e2) || !bytes.Equal(p1, p2) {
			t.Fatalf("%s, %s became %s, %s (%v)", e1, p1, e2, p2, err)
		}
	})
}
