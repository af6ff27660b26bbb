package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netsim-lab/netsim/fabric"
)

// line is one line of a packet's way.
type line struct{ place, kind, text string }

// lines returns the steps of a packet as they are read. Unless all are wanted, those are left out that only say that it
// came by.
func (p *Packet) lines(f *Flow, all bool) []line {
	var out []line
	for i := range p.Steps {
		s := &p.Steps[i]
		if !all && p.passing(i) {
			continue
		}
		if !all && (s.Kind == fabric.EventNeigh || s.Reason == fabric.DropNeighFailed) {
			if asked := f.asked(s); asked.text != "" {
				if out = append(out, asked); s.Kind == fabric.EventNeigh {
					continue
				}
			} else if n := len(out); n > 0 && s.Kind == fabric.EventNeigh && out[n-1].kind == fabric.EventRoute.String() {
				if mac := ", at " + s.After; !strings.HasSuffix(out[n-1].text, mac) { // fragments go the same way
					out[n-1].text += mac
				}
				continue
			}
		}
		out = append(out, s.line(all))
		if s.Hint != "" {
			out = append(out, line{s.Place, "", "what would help: " + s.Hint})
		}
	}
	if !all {
		out = slices.Compact(out) // of fragments
	}
	return out
}

// passing tells whether a step is one that teaches nothing beside the others.
func (p *Packet) passing(i int) bool {
	s := &p.Steps[i]
	switch s.Kind {
	case fabric.EventLink:
		return true
	case fabric.EventDeliver: // to the tunnel, which the next step tells
		return i+1 < len(p.Steps) && p.Steps[i+1].Kind == fabric.EventDecap
	case fabric.EventFilter:
		return s.Reason == 0 && strings.HasSuffix(s.After, " policy ACCEPT")
	case fabric.EventDrop: // a flooded copy
		return s.Reason == fabric.DropNotForUs && p.delivered()
	}
	return false
}

func (p *Packet) delivered() bool {
	for _, s := range p.Steps {
		if s.Kind == fabric.EventDeliver {
			return true
		}
	}
	return false
}

// line puts a step into words.
func (s *Step) line(all bool) line {
	return line{s.Place, s.Kind.String(), s.words(all)}
}

func (s *Step) words(all bool) string {
	switch s.Kind {
	case fabric.EventLink:
		return s.Before + " to " + s.After
	case fabric.EventLearn:
		return s.learned()
	case fabric.EventFDB:
		return s.Before + " is behind " + s.After
	case fabric.EventFlood:
		return fmt.Sprintf("%s: copies to %s", s.Before, ports(s.After, all))
	case fabric.EventNeigh:
		return s.Before + " is at " + s.After
	case fabric.EventRoute:
		return s.Before + " goes " + routeWords(s.After, all)
	case fabric.EventFilter:
		return s.filtered(all)
	case fabric.EventDNAT, fabric.EventSNAT, fabric.EventIPVS:
		return s.translated(all)
	case fabric.EventEncap:
		return fmt.Sprintf("into %s, to %s", s.Before, s.After)
	case fabric.EventDecap:
		return fmt.Sprintf("out of %s, from %s", s.After, s.Before)
	case fabric.EventESP:
		return fmt.Sprintf("%s becomes %s, %s", s.Before, s.After, s.By)
	case fabric.EventMTU:
		return fmt.Sprintf("%s bytes, and %s go through", s.Before, s.After)
	case fabric.EventDeliver:
		return strings.TrimSuffix("arrived for "+s.After, " for ")
	case fabric.EventDrop:
		text := fmt.Sprintf("%s: %s", s.Reason, Means(s.Reason))
		if s.Before != "" {
			text += " (" + s.Before + ")"
		}
		return text
	}
	return strings.TrimSpace(s.Before + " " + s.After)
}

func (s *Step) learned() string {
	mac, where, ok := strings.Cut(s.After, " on ")
	if !ok {
		return s.Before + " is behind " + s.After + " from now on"
	}
	return mac + " is behind " + where + " from now on"
}

func (s *Step) filtered(all bool) string {
	verdict := "lets it pass"
	if s.Reason != 0 {
		verdict = "does not let it pass"
	}
	return fmt.Sprintf("%s %s: %s", s.Before, verdict, ruleWords(s.After, all || s.Reason != 0))
}

func (s *Step) translated(all bool) string {
	text := s.Before + " becomes " + s.After
	if s.Kind == fabric.EventIPVS && !strings.Contains(s.After, ".") { // the verdict on one that it did not send on
		text = s.Before + ": " + s.After
	}
	switch by := ruleWords(s.By, all); {
	case by == "conntrack, reply" || by == "" && s.Kind == fabric.EventIPVS:
		return text + " again"
	case by != "":
		return text + " (" + by + ")"
	}
	return text
}

// ruleWords names a rule; whole, or without its text.
func ruleWords(rule string, whole bool) string {
	if whole {
		return rule
	}
	name, _, _ := strings.Cut(rule, ": ")
	return name
}

// routeWords says where a route leads: its gateway and interface, or all of it.
func routeWords(route string, whole bool) string {
	words := strings.Fields(route)
	if whole {
		return "by " + strings.Join(words, " ")
	}
	text := ""
	for i := 0; i+1 < len(words); i++ {
		switch words[i] {
		case "via":
			text = "via " + words[i+1] + " "
		case "dev":
			return text + "out " + words[i+1]
		}
	}
	return "by " + route
}

// portsMax is how many ports of a switch are listed.
const portsMax = 4

// ports lists names that stand between commas, unless all are wanted only the first.
func ports(list string, all bool) string {
	names := strings.Split(list, ",")
	if n := len(names) - portsMax; n > 1 && !all {
		names = append(names[:portsMax], fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// asked returns the question for a MAC address that preceded a step, and its answer; an empty line if nobody was asked.
func (f *Flow) asked(s *Step) line {
	var out line
	times, answers := 0, ""
	for i := range f.Packets {
		p := &f.Packets[i]
		switch {
		case !p.ARP:
		case p.asks() && within(s.Place, p.From) && (p.Dst == s.Before || s.Kind == fabric.EventDrop):
			if times++; times == 1 {
				out = line{p.From, "arp", "who has " + p.Dst + "?" + p.spread()}
				answers = p.proxied()
			}
		case !p.asks() && times > 0 && p.Src == s.Before && answers == "":
			answers = p.From + " answers"
		}
	}
	if times == 0 {
		return out
	}
	if answers == "" {
		answers = "nobody answers"
		if times > 1 {
			answers += fmt.Sprintf(", asked %d times", times)
		}
	}
	if out.text += "; " + answers; s.Kind == fabric.EventNeigh {
		out.text += ": " + s.After
	}
	return out
}

func (p *Packet) asks() bool { return strings.HasSuffix(p.What, "?") }

// spread says which switch gave copies to whom.
func (p *Packet) spread() string {
	for _, s := range p.Steps {
		if s.Kind == fabric.EventFlood {
			return fmt.Sprintf(" %s asks %s", s.Place, ports(s.After, false))
		}
	}
	return ""
}

// proxied says which tunnel answered a question in place of who is asked for.
func (p *Packet) proxied() string {
	for _, s := range p.Steps {
		if s.Kind == fabric.EventNeigh {
			return s.Place + " answers for it"
		}
	}
	return ""
}

// way is the packet's way in one line: where its addresses changed, what carried it, and where it ended.
func (p *Packet) way() string {
	words := []string{p.From}
	for _, s := range p.Steps {
		switch s.Kind {
		case fabric.EventDNAT, fabric.EventSNAT, fabric.EventIPVS:
			words = append(words, fmt.Sprintf("%s to %s", s.Kind, s.After))
		case fabric.EventEncap:
			words = append(words, fmt.Sprintf("vxlan %s to %s", s.Before, s.After))
		case fabric.EventDrop:
			words = append(words, fmt.Sprintf("dropped at %s: %s", s.Place, s.Reason))
		case fabric.EventDeliver:
			words = append(words, s.Place)
		}
	}
	if n := len(words); n > 2 { // outer packets are delivered to the tunnel on the way
		kept := words[:1]
		for i, w := range words[1:] {
			if i == n-2 || strings.Contains(w, " ") {
				kept = append(kept, w)
			}
		}
		words = kept
	}
	return strings.Join(words, " > ")
}
