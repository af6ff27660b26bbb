package nat

import (
	"fmt"
	"strings"
	"testing"
)

// read returns the events that wait, one word each, with the state that the connection is in.
func (e *Events) read() string {
	var words []string
	for {
		select {
		case ev := <-e.C():
			c := ev.Connection
			word := [...]string{"NEW", "UPDATE", "DESTROY"}[ev.Kind] + " " + c.State
			if c.Replied {
				word += " replied"
			}
			if c.Assured {
				word += " assured"
			}
			words = append(words, word)
		default:
			return strings.Join(words, "; ")
		}
	}
}

// Each change of a connection is one event, in order, and a packet that changes nothing is none.
func TestEvents(t *testing.T) {
	n := New(Config{})
	e := n.Subscribe(0)
	for i, row := range []struct {
		step
		want string
	}{
		{step{syn, false}, "NEW SYN_SENT"},
		{step{syn, false}, ""},
		{step{syn | ack, true}, "UPDATE SYN_RECV replied"},
		{step{ack, false}, "UPDATE ESTABLISHED replied assured"},
		{step{ack, true}, ""},
		{step{fin | ack, false}, "UPDATE FIN_WAIT replied assured"},
		{step{fin | ack, true}, "UPDATE LAST_ACK replied assured"},
		{step{ack, false}, "UPDATE TIME_WAIT replied assured"},
		{step{syn, false}, "DESTROY TIME_WAIT replied assured; NEW SYN_SENT"},
	} {
		src, dst := client, server
		if row.reply {
			src, dst = dst, src
		}
		forward(n, tcpFrame(src, dst, row.flags), "a", "b", sec(0))
		if got := e.read(); got != row.want {
			t.Errorf("step %d: %q; want %q", i, got, row.want)
		}
	}
	n.Expire(sec(1000))
	if got := e.read(); got != "DESTROY SYN_SENT" {
		t.Errorf("after its time: %q", got)
	}
	forward(n, udpFrame(client, server), "a", "b", sec(1000))
	n.Forget(sec(1000), nil)
	if got := e.read(); got != "NEW ; DESTROY " {
		t.Errorf("a flow that is deleted: %q", got)
	}
	e.Close()
	e.Close()
	forward(n, udpFrame(client, server), "a", "b", sec(1000))
	if got := e.read(); got != "" || n.ct.listeners != nil {
		t.Errorf("after Close: %q", got)
	}
}

// Who does not read loses events and holds up nothing; others have them all.
func TestEventsOverflow(t *testing.T) {
	n := New(Config{})
	slow, quick := n.Subscribe(2), n.Subscribe(100)
	for i := range 10 {
		forward(n, udpFrame(fmt.Sprintf("10.0.0.1:%d", 100+i), server), "a", "b", sec(0))
	}
	if got := slow.read(); got != "NEW ; NEW " || slow.Lost() != 8 || quick.Lost() != 0 || strings.Count(quick.read(), "NEW") != 10 {
		t.Errorf("%q, %d lost, %d lost", got, slow.Lost(), quick.Lost())
	}
}

// BenchmarkHitHeard is BenchmarkHit while somebody listens and does not read.
func BenchmarkHitHeard(b *testing.B) {
	n := New(Config{})
	n.Subscribe(1)
	f := udpFrame(client, server)
	forward(n, f, "a", "b", sec(0))
	b.ReportAllocs()
	for b.Loop() {
		p := Packet{Frame: f, In: "a"}
		n.Run(Prerouting, &p, sec(0))
	}
}
