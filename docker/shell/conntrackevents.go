package shell

import (
	"context"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/nat"
)

// eventPeriod is how often conntrack -E looks at the table. Entries live for seconds, so that none is missed; of several
// changes of one within a period the last is shown.
const eventPeriod = 20 * time.Millisecond

// connectionKey is what is the same for all of an entry's life.
type connectionKey struct {
	proto    uint8
	original nat.Flow
}

// conntrackEvents is conntrack -E: entries that come, change and go, until the command is ended. kinds are those of -e; "": all.
func (c *Call) conntrackEvents(ctx context.Context, f *conntrackFilter, kinds string) int {
	wanted := func(kind string) bool { return kinds == "" || strings.Contains(strings.ToUpper(kinds), kind) }
	nf, shown := c.Sys.NS.Netfilter(), 0
	show := func(kind, label string, n nat.Connection) {
		if wanted(kind) && f.matches(n) {
			shown++
			c.Printf("%9s %s\n", label, eventText(n, kind == "DESTROY"))
		}
	}
	before := map[connectionKey]nat.Connection{}
	for first := true; ; first = false {
		now := map[connectionKey]nat.Connection{}
		for _, n := range nf.Connections(time.Now().UnixNano()) {
			key := connectionKey{n.Proto, n.Original}
			now[key] = n
			was, known := before[key]
			switch {
			case first:
			case !known:
				show("NEW", "[NEW]", n)
			case was.State != n.State || was.Replied != n.Replied || was.Assured != n.Assured:
				show("UPDATE", "[UPDATE]", n)
			}
		}
		for key, n := range before {
			if _, still := now[key]; !still {
				show("DESTROY", "[DESTROY]", n)
			}
		}
		if before = now; !pause(ctx, eventPeriod) {
			c.say("conntrack v1.4.3 (conntrack-tools): %d flow events have been shown.", shown)
			return 0
		}
	}
}

// eventText is an entry as events show it; of one that is gone, time and state are, too.
func eventText(n nat.Connection, gone bool) string {
	line, _, _ := strings.Cut(nat.FormatConntrack([]nat.Connection{n}), "\n")
	line = strings.TrimSuffix(line, " mark=0 use=1")
	if !gone {
		return line
	}
	head, rest, _ := strings.Cut(line, "src=")
	fields := strings.Fields(head)
	return strings.Replace(head[:len(head)-len(strings.TrimLeft(head[len(fields[0]):], " "))]+fields[1]+" src="+rest, "[ASSURED]", "", 1)
}
