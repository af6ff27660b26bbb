package shell

import (
	"context"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/nat"
)

// expirePeriod is how often conntrack -E has what has expired leave the table. Without it packets do that little by little,
// where Linux has a worker that looks about once a second.
const expirePeriod = time.Second

// eventSize is what an event takes of the buffer that -b asks for, in bytes, as the messages of netlink are.
const eventSize = 208

// maxEventBuffer bounds what -b may ask for, in bytes.
const maxEventBuffer = 8 << 20

// eventNames are what -e calls the kinds of events, and how they are shown.
var eventNames = map[nat.EventKind]string{nat.EventNew: "NEW", nat.EventUpdate: "UPDATE", nat.EventDestroy: "DESTROY"}

// enobufs is what conntrack says when it reads slower than connections change.
const enobufs = `WARNING: We have hit ENOBUFS! We are losing events.
This message means that the current netlink socket buffer size is too small.
Please, check --buffer-size in conntrack(8) manpage.`

// conntrackEvents is conntrack -E: entries that come, change and go, until the command is ended. kinds are those of -e; "": all.
// size is the buffer's in bytes; 0: as many as usual.
func (c *Call) conntrackEvents(ctx context.Context, f *conntrackFilter, kinds string, size int) int {
	nf, shown, lost := c.Sys.NS.Netfilter(), 0, uint64(0)
	events := nf.Subscribe((size + eventSize - 1) / eventSize)
	defer events.Close()
	tick := time.NewTicker(expirePeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			c.say("conntrack v1.4.3 (conntrack-tools): %d flow events have been shown.", shown)
			return 0
		case now := <-tick.C:
			nf.Expire(now.UnixNano())
		case ev := <-events.C():
			if n := events.Lost(); n != lost {
				lost = n
				c.say("%s", enobufs)
			}
			name := eventNames[ev.Kind]
			if kinds != "" && !strings.Contains(strings.ToUpper(kinds), name) || !f.matches(ev.Connection) {
				continue
			}
			shown++
			c.Printf("%9s %s\n", "["+name+"]", eventText(ev.Connection, ev.Kind == nat.EventDestroy))
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
