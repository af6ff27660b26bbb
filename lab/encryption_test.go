package lab

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric/wire"
)

const encryptedLab = `
netsim: 1
name: encrypted-lab
fabric:
  switches: {tor: {}}
  hosts:
    host-a: {links: {tor: 192.168.1.2/24}, engine: docker}
    host-b: {links: {tor: 192.168.1.3/24}, engine: docker}
swarm: {managers: [host-a], workers: [host-b], key_rotation: 200ms}
networks:
  ovsec: {driver: overlay, subnet: 10.1.0.0/24, attachable: true, options: {encrypted: ""}}
  plain: {driver: overlay, subnet: 10.2.0.0/24, attachable: true}
containers:
  s1: {host: host-a, image: busybox, command: [sleep, "100000"], networks: {ovsec: {ip: 10.1.0.11}, plain: {ip: 10.2.0.11}}}
  s2: {host: host-b, image: nginx, networks: {ovsec: {ip: 10.1.0.12}, plain: {ip: 10.2.0.12}}}
steps:
  - {name: X9 small and large, on: host-a/s1, run: "ping -c 1 10.1.0.12 && ping -c 1 -s 1396 10.1.0.12", expect: {status: 0}}
  - {name: X9 the MTU, on: host-a/s1, run: ip link show eth0, expect: {stdout: mtu 1424}}
  - {name: the steps of a packet, on: host-a/s1, run: ping -c 1 10.1.0.12, expect: {path_includes: [host-a/ovsec/vxlan0, host-a/esp, host-b/esp, host-b/ovsec/vxlan0]}}
  - {name: X10 blocked ESP silences it, on: host-b, run: iptables -I INPUT -p esp -j DROP}
  - {on: host-a/s1, run: ping -c 1 -W 1 10.1.0.12, expect: {status: 1, dropped_because: {reason: filter, at: host-b}}}
  - {name: names resolve still, on: host-a/s1, expect: {dns: {s2: any}}}
  - {name: and others are as ever, on: host-a/s1, run: ping -c 1 -W 1 10.2.0.12, expect: {status: 0}}
  - {on: host-b, run: iptables -D INPUT -p esp -j DROP}
  - {on: host-a/s1, run: wget -q -O - http://s2/, expect: {stdout: nginx}}
`

// X5, X6, X9, X10, 17.6: an encrypted overlay as its users see it.
func TestEncryptedLab(t *testing.T) {
	l := start(t, encryptedLab, Config{})
	rec := &recorder{}
	if _, err := l.Play(context.Background(), rec); err != nil {
		t.Fatal(err)
	}
	for _, r := range rec.results {
		if !r.Passed {
			t.Errorf("step %d: %s", r.Index+1, r.Reason)
		}
	}
}

// C12, X8: keys rotate every 200 ms while 500 packets go each way, and none is lost.
func TestKeysRotateWithoutLoss(t *testing.T) {
	l := start(t, encryptedLab, Config{})
	before := l.Engine("host-a").Controller().ESP().States()
	var first, last []uint32
	for _, s := range before {
		first = append(first, s.Key.Tag)
	}
	var out bytes.Buffer
	status, err := l.MustNode("host-a/s1").Run(soon(t), "ping -q -i 0.004 -c 500 10.1.0.12", shell.Stdio{Out: &out, Err: &out})
	if err != nil || status != 0 || !strings.Contains(out.String(), "500 packets transmitted, 500 packets received") {
		t.Errorf("ping: %d, %v\n%s", status, err, out.String())
	}
	for _, s := range l.Engine("host-a").Controller().ESP().States() {
		last = append(last, s.Key.Tag)
	}
	if slices.Max(last) < slices.Max(first)+3 || len(last) != 4 {
		t.Errorf("keys %v at first, %v in the end; want three rotations or more", first, last)
	}
	for _, d := range l.Drops() {
		if strings.HasPrefix(d.Reason, "esp-") {
			t.Errorf("%s dropped %d: %s", d.Place, d.Frames, d.Reason)
		}
	}
}

// X6: what a host sends in clear into an encrypted network is dropped where it arrives, with a reason.
func TestClearFrameIntoEncryptedNetwork(t *testing.T) {
	l := start(t, encryptedLab, Config{})
	network, ok := l.Engine("host-a").Controller().Network("ovsec")
	if !ok {
		t.Fatal("no network")
	}
	capture, err := l.MustNode("host-a").Capture("eth0")
	if err != nil {
		t.Fatal(err)
	}
	defer capture.Stop()
	conn, err := l.MustNode("host-a").NS().Dial(soon(t), "udp", "192.168.1.3:4789")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	vni := network.VNI()
	frame := append([]byte{8, 0, 0, 0, byte(vni >> 16), byte(vni >> 8), byte(vni), 0}, make([]byte, 60)...)
	if _, err := conn.Write(frame); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the frame is dropped, and counted", func() bool {
		return slices.ContainsFunc(l.Drops(), func(d DropCount) bool {
			return d.Reason == "not-encrypted" && d.Frames == 1 && strings.HasSuffix(d.Place, "/vxlan0") && strings.HasPrefix(d.Place, "host-b/")
		})
	})
	if _, err := capture.Wait(soon(t), func(p Packet) bool { return p.Proto == wire.ProtoUDP && p.DstPort == 4789 }); err != nil {
		t.Error(err)
	}
}

// A damaged packet is refused by its seal, and TCP sends it again: what arrives is what was sent.
func TestEncryptedOverDamagingCable(t *testing.T) {
	damaging := strings.Replace(encryptedLab, "swarm:", "  links: [{between: [host-a, tor], corrupt: 10%}]\nswarm:", 1)
	l := start(t, damaging, Config{Seed: new(uint64(3))})
	var out bytes.Buffer
	const fetch = "for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://10.1.0.12/ | grep -c 'Welcome to nginx'; done"
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a lost SYN takes seconds, and so many may follow each other
	defer cancel()
	if status, err := l.MustNode("host-a/s1").Run(ctx, fetch, shell.Stdio{Out: &out, Err: &out}); err != nil || status != 0 || strings.Count(out.String(), "2\n") != 10 {
		t.Errorf("status %d, %v: %q; want ten whole pages", status, err, out.String())
	}
	if !slices.ContainsFunc(l.Drops(), func(d DropCount) bool { return d.Reason == "esp-bad-icv" && strings.HasSuffix(d.Place, "/esp") }) {
		t.Errorf("nothing was refused by its seal: %v", l.Drops())
	}
}
