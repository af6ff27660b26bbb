package iperf

import (
	"encoding/json"
	"fmt"
	"time"
)

// document is what -J prints.
type document struct {
	Start struct {
		Connected    []connection `json:"connected"`
		Version      string       `json:"version"`
		System       string       `json:"system_info"`
		Timestamp    timestamp    `json:"timestamp"`
		ConnectingTo *place       `json:"connecting_to,omitempty"`
		Accepted     *place       `json:"accepted_connection,omitempty"`
		Cookie       string       `json:"cookie"`
		Test         testStartDoc `json:"test_start"`
	} `json:"start"`
	Intervals []intervalDoc `json:"intervals"`
	End       endDoc        `json:"end"`
	Error     string        `json:"error,omitempty"`
}

type timestamp struct {
	Time string `json:"time"`
	Secs int64  `json:"timesecs"`
}

type place struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

type connection struct {
	Socket     int    `json:"socket"`
	LocalHost  string `json:"local_host"`
	LocalPort  int    `json:"local_port"`
	RemoteHost string `json:"remote_host"`
	RemotePort int    `json:"remote_port"`
}

type testStartDoc struct {
	Protocol string  `json:"protocol"`
	Streams  int     `json:"num_streams"`
	Block    int     `json:"blksize"`
	Omit     float64 `json:"omit"`
	Duration float64 `json:"duration"`
	Bytes    int64   `json:"bytes"`
	Blocks   int64   `json:"blocks"`
	Reverse  int     `json:"reverse"`
	TOS      int     `json:"tos"`
	Bitrate  float64 `json:"target_bitrate"`
}

// figures are those of a stream or a sum, over a time in seconds.
type figures struct {
	Socket  int      `json:"socket,omitempty"`
	Start   float64  `json:"start"`
	End     float64  `json:"end"`
	Seconds float64  `json:"seconds"`
	Bytes   int64    `json:"bytes"`
	Rate    float64  `json:"bits_per_second"`
	Jitter  *float64 `json:"jitter_ms,omitempty"`
	Lost    *int64   `json:"lost_packets,omitempty"`
	Packets *int64   `json:"packets,omitempty"`
	Share   *float64 `json:"lost_percent,omitempty"`
	Late    *int64   `json:"out_of_order,omitempty"`
	Omitted *bool    `json:"omitted,omitempty"`
	Sender  bool     `json:"sender"`
}

type intervalDoc struct {
	Streams []figures `json:"streams"`
	Sum     figures   `json:"sum"`
}

// streamDoc has the two sides of TCP, or UDP's figures.
type streamDoc struct {
	Sender   *figures `json:"sender,omitempty"`
	Receiver *figures `json:"receiver,omitempty"`
	UDP      *figures `json:"udp,omitempty"`
}

type endDoc struct {
	Streams  []streamDoc `json:"streams,omitempty"`
	Sum      *figures    `json:"sum,omitempty"`
	Sent     *figures    `json:"sum_sent,omitempty"`
	Received *figures    `json:"sum_received,omitempty"`
}

func (d *document) begin(system, cookie string, p *params) {
	now := time.Now().UTC()
	d.Start.Version, d.Start.System, d.Start.Cookie = "iperf "+Version, system, cookie
	d.Start.Timestamp = timestamp{now.Format("Mon, 02 Jan 2006 15:04:05 GMT"), now.Unix()}
	d.Start.Test = testStartDoc{Protocol: "TCP", Streams: p.Parallel, Block: p.Len, Omit: p.Omit, Duration: p.Time, Bytes: p.Num, Blocks: p.Blocks, Bitrate: p.Bandwidth}
	if p.UDP {
		d.Start.Test.Protocol = "UDP"
	}
	if p.Reverse {
		d.Start.Test.Reverse = 1
	}
}

// plain are the figures that TCP and UDP have.
func plain(socket int, from, to float64, c counts, sender bool) figures {
	f := figures{Socket: socket, Start: from, End: to, Seconds: to - from, Bytes: c.bytes, Sender: sender}
	if to > from {
		f.Rate = float64(c.bytes) * 8 / (to - from)
	}
	return f
}

// datagrams adds those of UDP.
func (f figures) datagrams(c counts) figures {
	jitter, share := c.jitter*1000, 0.0
	if c.packets > 0 {
		share = 100 * float64(c.lost) / float64(c.packets)
	}
	f.Jitter, f.Lost, f.Packets, f.Share = &jitter, &c.lost, &c.packets, &share
	return f
}

// figuresOf are those of an interval.
func figuresOf(s *session, socket int, from, to float64, c counts) figures {
	f := plain(socket, from, to, c, s.sender)
	omitted := false
	f.Omitted = &omitted
	switch {
	case s.p.UDP && s.sender:
		f.Packets = &c.packets
	case s.p.UDP:
		f = f.datagrams(c)
	}
	return f
}

// stream adds a stream's end; sides are those of the sender and of the receiver.
func (d *document) stream(s *session, n int, c [2]counts, took [2]float64) {
	sent, got := plain(socketNumber(n), 0, took[0], c[0], s.sender), plain(socketNumber(n), 0, took[1], c[1], s.sender)
	if s.p.UDP {
		late := c[1].late
		both := sent.datagrams(c[1])
		both.Packets, both.Late = &c[0].packets, &late
		d.End.Streams = append(d.End.Streams, streamDoc{UDP: &both})
		return
	}
	d.End.Streams = append(d.End.Streams, streamDoc{Sender: &sent, Receiver: &got})
}

func (d *document) sums(s *session, c [2]counts, took [2]float64) {
	sent, got := plain(0, 0, took[0], c[0], true), plain(0, 0, took[1], c[1], false)
	if s.p.UDP {
		sent, got = sent.datagrams(c[0]), got.datagrams(c[1])
		sum := plain(0, 0, took[0], c[0], s.sender).datagrams(c[1])
		sum.Packets = &c[0].packets
		d.End.Sum = &sum
	}
	d.End.Sent, d.End.Received = &sent, &got
}

// finish prints the document.
func (r *reporter) finish(err error) {
	if err != nil {
		r.doc.Error = "error - " + err.Error()
	}
	if r.doc.Start.Connected == nil {
		r.doc.Start.Connected = []connection{}
	}
	if r.doc.Intervals == nil {
		r.doc.Intervals = []intervalDoc{}
	}
	text, err := json.MarshalIndent(r.doc, "", "\t")
	if err == nil {
		fmt.Fprintf(r.out, "%s\n", text) //nolint:errcheck // nobody reads
	}
}
