package topology

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Step is one line of the lab's transcript: something to run, and what it
// must show.
type Step struct {
	Pos    Pos
	Name   string
	On     Node   // empty for a step that only changes the fabric
	Change Change // what it does to the fabric first
	Run    string // a POSIX shell line; empty: only the network verbs count
	Expect Expect
	Within time.Duration // repeat until Expect holds, at most this long; 0: once
	Retry  time.Duration // pause between two tries
}

// Node is where a step runs. A host, router or switch has only Host; a container has Host and
// Container; a task has Service and Slot, and Host when the file insists on
// the host it must run on.
type Node struct {
	Pos       Pos
	Host      string
	Container string
	Service   string
	Slot      int
	Text      string // as written
}

// Expect is what must hold after a step ran. Everything in it must hold.
type Expect struct {
	Pos             Pos
	Status          *Status // nil: any
	Stdout          []Match
	Stderr          []Match
	Reachable       []Probe // answers: a TCP handshake, a UDP answer or an echo reply
	Refused         []Probe // answers with a reset or with ICMP unreachable
	Timeout         []Probe // nothing comes back
	DNS             []Lookup
	DroppedBecause  []Drop
	PathIncludes    []Ref // places the packets of Run pass, in this order
	SourceSeen      []Source
	LBSpread        []Spread
	ConvergesWithin time.Duration // everything else holds by then and stays so; 0: not asked
}

// Status is the exit status a command must have.
type Status struct {
	Pos     Pos
	Codes   []int // any of them
	NonZero bool  // or any but 0
}

// Accepts tells whether code is as expected.
func (s *Status) Accepts(code int) bool {
	return s == nil || s.NonZero && code != 0 || slices.Contains(s.Codes, code)
}

// String returns the expectation in words: "0", "1 or 6", "not 0".
func (s *Status) String() string {
	switch {
	case s == nil:
		return "any"
	case s.NonZero:
		return "not 0"
	}
	return joinInts(s.Codes, " or ")
}

// Match is one condition on a text.
type Match struct {
	Pos    Pos
	Not    bool
	Text   string         // the substring, or the source of Regexp
	Regexp *regexp.Regexp // nil: Text is a substring; ^ and $ match at line ends
}

// Matches tells whether the condition holds for s.
func (m Match) Matches(s string) bool {
	found := false
	if m.Regexp != nil {
		found = m.Regexp.MatchString(s)
	} else {
		found = strings.Contains(s, m.Text)
	}
	return found != m.Not
}

// String returns the condition as the file writes it.
func (m Match) String() string {
	text := m.Text
	if m.Regexp != nil {
		text = "/" + m.Text + "/"
	}
	if m.Not {
		return "not: " + text
	}
	return text
}

// Probe is a question to an address from the node of the step.
type Probe struct {
	Pos   Pos
	Host  string // address or name
	Port  uint16 // 0 with icmp
	Proto string // tcp, udp or icmp
}

// Lookup is a name and what resolving it from the node of the step must give.
type Lookup struct {
	Pos  Pos
	Name string
	Any  bool         // at least one address
	None bool         // no address
	Want []netip.Addr // exactly these, in any order; unless Any or None
}

// Drop is a packet loss that must have happened while the step ran.
type Drop struct {
	Pos    Pos
	Reason string
	At     string // place; empty: anywhere
}

// Source is an address that the receiver must see as the packets' source.
type Source struct {
	Pos  Pos
	At   *Node // who looks; nil: whoever the packets are delivered to
	Addr netip.Prefix
}

// Spread is a number of connections that must reach several backends.
type Spread struct {
	Pos      Pos
	To       Probe
	Requests int
	Backends int // how many must have answered
}
