package explain

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
)

// TextOptions say how much of a story is told.
type TextOptions struct {
	// All tells every packet with all of its steps and whole rules, and what programs asked others in full.
	All bool
}

// Text writes the story as a person reads it: each flow with the first packet of each way that its packets went.
func (s *Story) Text(w io.Writer, o TextOptions) error {
	b := bufio.NewWriter(w)
	t := teller{w: b, story: s, all: o.All}
	t.tell()
	return b.Flush()
}

// teller writes a story.
type teller struct {
	w     io.Writer
	story *Story
	all   bool
}

func (t *teller) printf(format string, args ...any) {
	fmt.Fprintf(t.w, format, args...) //nolint:errcheck // Flush tells
}

func (t *teller) tell() {
	if len(t.story.Flows) == 0 {
		t.printf("%s on %s caused no packet: it needed none, or had no way to send one (see its output, and ip route).\n", t.story.Command, t.story.Node)
		return
	}
	seen := map[string]*Flow{}
	same := map[*Flow][]*Flow{}
	var flows []*Flow
	for _, f := range t.story.inOrder() {
		key := f.signature()
		if first := seen[key]; first != nil && !t.all {
			same[first] = append(same[first], f)
			continue
		}
		seen[key] = f
		flows = append(flows, f)
	}
	for i, f := range flows {
		if i > 0 {
			t.printf("\n")
		}
		t.flow(f)
		if more := same[f]; len(more) > 0 {
			t.printf("  and %s the same way: %s\n", count(len(more), "more flow"), flowList(more))
		}
	}
	if n := t.story.LeftOut; n > 0 {
		t.printf("\n%s between the first and the last are left out.\n", count(n, "packet"))
	}
}

// inOrder returns the flows as they were opened, each followed by those that were opened because of it.
func (s *Story) inOrder() []*Flow {
	var out []*Flow
	var add func(cause int)
	add = func(cause int) {
		for i := range s.Flows {
			if f := &s.Flows[i]; f.Cause == cause && f.ID != cause {
				out = append(out, f)
				add(f.ID)
			}
		}
	}
	add(0)
	return out
}

// listMax is how many things of one kind are listed.
const listMax = 8

func flowList(flows []*Flow) string {
	var ends []string
	for _, f := range flows[:min(len(flows), listMax)] {
		ends = append(ends, f.Src+" -> "+f.Dst)
	}
	if len(flows) > listMax {
		ends = append(ends, "...")
	}
	return strings.Join(ends, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// flow tells of one flow; of one that a program opened because of another only the ways, unless all is told.
func (t *teller) flow(f *Flow) {
	proto := strings.ToUpper(f.Proto)
	if f.Cause == 0 {
		t.printf("%s %s -> %s, from %s\n", proto, f.Src, f.Dst, f.Place)
	} else {
		t.printf("Because of that, %s asks %s (%s, from %s)\n", f.Place, f.Dst, proto, f.Src)
	}
	brief := f.Cause != 0 && !t.all && !f.dropped()
	for _, g := range f.groups(t.all) {
		switch {
		case brief:
			t.printf("  %s: %s\n", g.labels(), g.first().way())
		default:
			t.packet(f, g)
		}
	}
}

// packet tells of a packet step by step, and of those that went the same way.
func (t *teller) packet(f *Flow, g group) {
	p := g.first()
	t.printf("\n  %s sends %s%s\n", p.From, p.What, remark(p))
	lines := p.lines(f, t.all)
	width := 0
	for _, l := range lines {
		width = max(width, min(len(l.place), placeMax))
	}
	place := ""
	for _, l := range lines {
		shown := l.place
		if shown == place {
			shown = ""
		}
		place = l.place
		t.printf("    %-*s  %-11s  %s\n", width, shown, l.kind, l.text)
	}
	if p.Lost > 0 {
		t.printf("    and %s of it or its copies that are left out\n", count(p.Lost, "step"))
	}
	if len(g) > 1 {
		t.printf("  and %s the same way: %s\n", count(len(g)-1, "more packet"), g[1:].labels())
	}
}

// placeMax is the width that places are given at most.
const placeMax = 32

// remark says what a packet means to who asked, where that is a refusal.
func remark(p *Packet) string {
	if strings.HasPrefix(p.What, "RST") {
		return ": no program listens there, or it has closed the connection"
	}
	return ""
}

// group is packets of a flow that went the same way.
type group []*Packet

func (g group) first() *Packet { return g[0] }

// labels lists what the packets are, repeated ones counted, and those that only acknowledge at the end.
func (g group) labels() string {
	var all []string
	acks := 0
	times := map[string]int{}
	for _, p := range g {
		switch {
		case p.What == "ACK":
			acks++
			continue
		case times[p.What] == 0:
			all = append(all, p.What)
		}
		times[p.What]++
	}
	for i, what := range all {
		if n := times[what]; n > 1 {
			all[i] += fmt.Sprintf(" (%d times)", n)
		}
	}
	if n := len(all) - listMax; n > 0 {
		all = append(all[:listMax], fmt.Sprintf("%d other kinds", n))
	}
	if acks > 0 {
		all = append(all, count(acks, "ACK"))
	}
	return strings.Join(all, "; ")
}

// groups returns the flow's packets by the way that they went, in the order of the first of each; with all each alone.
// Questions for MAC addresses belong to the packets that need them.
func (f *Flow) groups(all bool) []group {
	var out []group
	at := map[string]int{}
	for i := range f.Packets {
		p := &f.Packets[i]
		if p.ARP && !all {
			continue
		}
		key := p.signature()
		if i, ok := at[key]; ok && !all {
			out[i] = append(out[i], p)
			continue
		}
		at[key] = len(out)
		out = append(out, group{p})
	}
	return out
}

// signature is the same for packets that went the same way: through the same places, with the same translations.
func (p *Packet) signature() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %v", p.From, p.Back)
	for _, s := range p.Steps {
		switch s.Kind {
		case fabric.EventLink, fabric.EventDeliver:
			fmt.Fprintf(&b, "|%s", s.Place)
		case fabric.EventDNAT, fabric.EventSNAT, fabric.EventIPVS, fabric.EventEncap, fabric.EventDecap, fabric.EventESP, fabric.EventDrop:
			fmt.Fprintf(&b, "|%s %s %s %s %s", s.Kind, s.Place, s.Before, s.After, s.Reason)
		}
	}
	return b.String()
}

// signature is the same for flows whose packets went the same ways, whatever port they were sent from; traceroute tries one
// port after the other, too.
func (f *Flow) signature() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %v\n", f.Proto, f.Place, f.Dst, f.Cause != 0)
	for _, g := range f.groups(false) {
		b.WriteString(g.first().signature() + "\n")
		if f.Proto == "udp" {
			b.WriteString(g.first().What + "\n") // the name that a name server is asked for
		}
	}
	text := b.String()
	if port := portText(f.Src); port != "" {
		text = strings.NewReplacer(port+" ", ": ", port+"\n", ":\n").Replace(text)
	}
	if port := portText(f.Dst); f.Proto == "udp" && len(port) == len(":33434") {
		text = strings.NewReplacer(port+" ", ":- ", port+"\n", ":-\n").Replace(text)
	}
	return text
}

// portText is the port of an end, with its colon; empty: it has none.
func portText(end string) string {
	if i := strings.LastIndexByte(end, ':'); i >= 0 {
		return end[i:]
	}
	return ""
}

// dropped tells whether a packet of the flow was lost.
func (f *Flow) dropped() bool {
	for i := range f.Packets {
		p := &f.Packets[i]
		if !p.ARP && slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Kind == fabric.EventDrop && s.Reason != fabric.DropNotForUs }) {
			return true
		}
	}
	return false
}
