package shell

import (
	"github.com/netsim-lab/netsim/vxlan"
	"github.com/netsim-lab/netsim/vxlan/esp"
)

// reqid is the mark of what is to be sealed, and the number that connects policies with associations (X4).
const reqid = 0xd0c4e3

// xfrm is ip xfrm state and ip xfrm policy: the associations of the host's encrypted overlays, as packets use them. Keys and peers
// are the swarm's to change, so there is nothing but show.
func (i *ipCall) xfrm() int {
	object := i.next()
	switch {
	case abbreviates(object, "state"), abbreviates(object, "policy"):
	default:
		return i.say1("Usage: ip xfrm XFRM-OBJECT { COMMAND | help }\nwhere  XFRM-OBJECT := state | policy", 255)
	}
	if verb := i.verb(); verb != "show" && !abbreviates(verb, "list") {
		return i.say1("Command \""+verb+"\" is unknown, try \"ip xfrm "+object+" help\".", 255)
	}
	got, err := i.pairs("", "src", "dst")
	if err != nil {
		return i.say1(err.Error(), 255)
	}
	e := i.ns.ESP()
	if e == nil {
		return 0
	}
	for _, s := range e.States() {
		src, dst := s.Src.String(), s.Dst.String()
		if got["src"] != "" && got["src"] != src || got["dst"] != "" && got["dst"] != dst {
			continue
		}
		switch {
		case abbreviates(object, "state"):
			i.xfrmState(s)
		case !s.Incoming:
			i.xfrmPolicy(s)
		}
	}
	return 0
}

func (i *ipCall) xfrmState(s vxlan.State) {
	i.Printf("src %s dst %s\n\tproto esp spi 0x%08x reqid %d mode transport\n\treplay-window %d \n", s.Src, s.Dst, s.SPI, reqid, replayWindow(s))
	i.Printf("\taead rfc4106(gcm(aes)) 0x%x %d\n", s.KeyMaterial(), esp.ICVLen*8)
	seq, oseq := s.Seq, uint32(0)
	if !s.Incoming {
		seq, oseq = 0, s.Seq
	}
	i.Printf("\tanti-replay esn context:\n\t seq-hi 0x0, seq 0x%x, oseq-hi 0x0, oseq 0x%x\n\t replay_window %d, bitmap-length %d\n", seq, oseq,
		replayWindow(s), replayWindow(s)/32)
	if i.stats {
		i.Printf("\tlifetime current:\n\t  %d(bytes), %d(packets)\n\tstats:\n\t  replay-window 0 replay %d failed %d\n", s.Bytes, s.Packets, s.Replayed, s.Broken)
	}
	i.Printf("\tsel src 0.0.0.0/0 dst 0.0.0.0/0 \n")
}

// replayWindow returns the size of an association's window: there is one for what comes only.
func replayWindow(s vxlan.State) int {
	if s.Incoming {
		return esp.WindowSize
	}
	return 0
}

func (i *ipCall) xfrmPolicy(s vxlan.State) {
	i.Printf("src %s/32 dst %s/32 proto udp dport %d \n\tdir out priority 0 ptype main \n\tmark 0x%x/0xffffffff \n", s.Src, s.Dst, vxlan.Port, reqid)
	i.Printf("\ttmpl src %s dst %s\n\t\tproto esp spi 0x%08x reqid %d mode transport\n", s.Src, s.Dst, s.SPI, reqid)
}
