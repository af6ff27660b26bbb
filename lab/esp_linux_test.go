package lab_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/labtest"
	"github.com/netsim-lab/netsim/netns"
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// A host of the lab and one of the kernel, with its own vxlan device and xfrm, are on one overlay: each reaches the other, small
// and large, in trains and not, in clear and sealed (X2, X9).
func TestKernelSharesAnOverlay(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("encrypted=%v", encrypted), func(t *testing.T) {
			bothWays(t, func(t *testing.T, cfg lab.Config) {
				l := withKernel(t, oneKernelHost, cfg, "ip", "ping", "curl")
				kernelOverlay(t, l, encrypted)
				shareOverlay(t, l, encrypted)
			})
		})
	}
}

var (
	labHost    = netip.MustParseAddr("192.168.1.3")
	kernelHost = netip.MustParseAddr("192.168.1.50")
	sharedKey  = esp.Key{Tag: 1, Value: [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}
)

// kernelOverlay makes the kernel's side.
func kernelOverlay(t *testing.T, l *labtest.Lab, encrypted bool) {
	t.Helper()
	lines := []string{
		"ip link add vx0 type vxlan id 257 dstport 4789 local 192.168.1.50 remote 192.168.1.3",
		"ip addr add 10.1.0.50/24 dev vx0", "ip link set vx0 mtu 1424 up",
	}
	if encrypted {
		for _, ends := range [][2]netip.Addr{{labHost, kernelHost}, {kernelHost, labHost}} {
			spi := esp.SPI(ends[0], ends[1], sharedKey.Tag)
			lines = append(lines, fmt.Sprintf("ip xfrm state add src %s dst %s proto esp spi 0x%08x reqid 1 mode transport replay-window 32 "+
				"aead 'rfc4106(gcm(aes))' 0x%x%08x 64", ends[0], ends[1], spi, sharedKey.Value, spi))
		}
		lines = append(lines, "ip xfrm policy add src 192.168.1.50/32 dst 192.168.1.3/32 proto udp dport 4789 dir out "+
			"tmpl src 192.168.1.50 dst 192.168.1.3 proto esp reqid 1 mode transport")
	}
	for _, line := range lines {
		out, exit := l.Sh("ns0", line)
		switch {
		case strings.Contains(out, "AEAD algorithm not found"), strings.Contains(out, "Unknown device type"), strings.Contains(out, "not supported"):
			t.Skipf("SKIP: the kernel has no VXLAN or no AES-GCM for IPsec: %s", out)
		case exit != 0:
			t.Fatalf("%s: status %d\n%s", line, exit, out)
		}
	}
}

// shareOverlay makes the lab's side, and sends both ways.
func shareOverlay(t *testing.T, l *labtest.Lab, encrypted bool) {
	t.Helper()
	ns := l.Node("server").NS()
	fail := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tunnel, err := ns.ListenTunnel(vxlan.Port)
	fail(err)
	cfg := vxlan.Config{Local: labHost, Transport: tunnel}
	if encrypted {
		carrier, err := ns.ListenESP()
		fail(err)
		cfg.ESP = vxlan.NewESP(vxlan.ESPConfig{Local: labHost, Carrier: carrier})
		fail(cfg.ESP.SetKeys([]esp.Key{sharedKey}))
		fail(cfg.ESP.AddPeer(kernelHost))
	}
	device, err := vxlan.New(cfg).Add(vxlan.DeviceConfig{VNI: 257, Learning: true, Flood: []netip.Addr{kernelHost}, MTU: 1424, Encrypted: encrypted})
	fail(err)
	_, err = ns.AddInterface(netns.InterfaceConfig{Name: "vx0", Kind: netns.KindVXLAN, Port: device, Device: device, MTU: 1424,
		Addr: netip.MustParsePrefix("10.1.0.3/24")})
	fail(err)
	page := strings.Repeat("a page of the overlay ", 20_000)
	serve(t, l.Node("server"), page)
	for _, c := range []struct{ node, line, want string }{
		{"ns0", "ping -c 1 -w 10 10.1.0.3", "1 received"},
		{"server", "ping -c 1 10.1.0.50", "1 received"},
		{"server", "ping -c 1 -s 1396 10.1.0.50", "1 received"},
		{"ns0", "ping -c 1 -w 10 -M do -s 1396 10.1.0.3", "1 received"},
		{"ns0", "curl -sS http://10.1.0.3/ | wc -c", fmt.Sprint(len(page))},
		{"ns0", "head -c 500000 /dev/zero | curl -sS -T - http://10.1.0.3/", "500000"},
	} {
		if out, exit := l.Sh(c.node, c.line); exit != 0 || !strings.Contains(out, c.want) {
			t.Errorf("%s: %s: status %d\n%s", c.node, c.line, exit, out)
		}
	}
	if encrypted && (cfg.ESP.States()[0].Packets < 300 || cfg.ESP.Read().Dropped() > 0) {
		t.Errorf("%+v, dropped %v", cfg.ESP.States()[0], cfg.ESP.Read().Drops)
	}
}

// serve answers GET on port 80 of a node with the page, and PUT with the length of what was put.
func serve(t *testing.T, n *lab.Node, page string) {
	t.Helper()
	ln, err := n.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, page) })
	mux.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	srv := &http.Server{Handler: mux}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(ln) })
	t.Cleanup(func() { srv.Close(); wg.Wait() })
}
