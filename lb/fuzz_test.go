package lb

import (
	"strings"
	"testing"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/fabric/wire"
)

// FuzzCommand checks that no command line breaks the balancer, and that what -S prints makes the same services again.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{"-ln", "-A -t 10.0.0.5:80 -s rr", "-a -f 256 -r 10.0.0.6 -m -w 3", "-lnc", "--set 1 2 3", "-C", "-E -f 256 -s wrr", "-l --timeout"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		b := balancer(t, realA, realB)
		out, err := b.Command(strings.Fields(line))
		if err != nil && out != "" {
			t.Errorf("prints %q and fails: %v", out, err)
		}
		rules, err := b.Command([]string{"-S"})
		must(t, err)
		again := New(Config{})
		for _, rule := range strings.Split(strings.TrimSpace(rules), "\n") {
			if _, err := again.Command(strings.Fields(rule)); err != nil {
				t.Fatalf("rule %q: %v", rule, err)
			}
		}
		if got, _ := again.Command([]string{"-S"}); got != rules {
			t.Errorf("rules\n%sbecome\n%s", rules, got)
		}
	})
}

// FuzzFrame checks that no frame breaks the balancer, and that a rewrite keeps right checksums right.
func FuzzFrame(f *testing.F) {
	tcp := packet(f, wire.ProtoTCP, wire.SYN, client, vip, "data")
	f.Add(tcp.Linear(), uint32(256))
	f.Add(packet(f, wire.ProtoUDP, 0, client, vip, "data").Linear(), uint32(0))
	f.Add(message(f, client, vip, wire.ICMPUnreachable, packet(f, wire.ProtoTCP, wire.ACK, vip, client, "")).Linear(), uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, mark uint32) {
		b := balancer(t, realA)
		b.Request(packet(t, wire.ProtoTCP, wire.SYN, client, vip, ""), 256, start)
		for _, reply := range []bool{false, true} {
			frame := fabric.FromBytes(data)
			if frame.ParseEthernet() != 0 {
				return
			}
			h := frame.IPv4()
			valid := h != nil && h.Valid()
			handled := reply && b.Reply(frame, start)
			if !reply {
				_, v := b.Request(frame, mark, start)
				handled = v == Handled
			}
			if handled && valid && !frame.IPv4().Valid() {
				t.Error("a right IP checksum became wrong")
			}
			frame.Free()
		}
	})
}
