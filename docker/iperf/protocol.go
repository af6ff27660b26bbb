package iperf

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// DefaultPort is where servers listen.
const DefaultPort = 5201

// Version is what this program says it is.
const Version = "3.12"

// state is a byte of the control connection (iperf_api.h).
type state int8

const (
	testStart       state = 1
	testRunning     state = 2
	testEnd         state = 4
	paramExchange   state = 9
	createStreams   state = 10
	serverTerminate state = 11
	clientTerminate state = 12
	exchangeResults state = 13
	displayResults  state = 14
	iperfDone       state = 16
	accessDenied    state = -1
	serverError     state = -2
)

// Constants of the protocol: the cookie with its NUL, what a UDP stream begins with and is answered with (in the byte order of
// most machines, for no other is agreed on), and bounds that keep a peer from taking all memory.
const (
	cookieLen    = 37
	udpHello     = 0x36373839
	udpReply     = 0x39383736
	maxJSON      = 1 << 20
	maxStreams   = 128
	maxBlock     = 1 << 20
	maxUDPBlock  = 65507
	minUDPBlock  = 16
	setupTimeout = 10 * time.Second
)

// Net are the sockets that a test uses. *netns.Namespace is one.
type Net interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// params is what a client asks for.
type params struct {
	TCP       bool    `json:"tcp,omitempty"`
	UDP       bool    `json:"udp,omitempty"`
	Omit      float64 `json:"omit"`
	Time      float64 `json:"time"`
	Num       int64   `json:"num"`
	Blocks    int64   `json:"blockcount"`
	Parallel  int     `json:"parallel"`
	Reverse   bool    `json:"reverse,omitempty"`
	Both      bool    `json:"bidirectional,omitempty"`
	Len       int     `json:"len"`
	Bandwidth float64 `json:"bandwidth,omitempty"`
	Pacing    int     `json:"pacing_timer"`
	Wide      int     `json:"udp_counters_64bit,omitempty"`
	Version   string  `json:"client_version"`
}

// check tells what a server cannot do of what it was asked for.
func (p *params) check() error {
	largest, least := maxBlock, 1
	if p.UDP {
		largest, least = maxUDPBlock, minUDPBlock
	}
	switch {
	case p.TCP == p.UDP:
		return errors.New("neither TCP nor UDP alone is asked for")
	case p.Both:
		return errors.New("both directions at once are not implemented")
	case p.Parallel < 1 || p.Parallel > maxStreams:
		return fmt.Errorf("%d streams: 1 to %d are possible", p.Parallel, maxStreams)
	case p.Len < least || p.Len > largest:
		return fmt.Errorf("blocks of %d bytes: %d to %d are possible", p.Len, least, largest)
	case !(p.Time >= 0 && p.Time <= 86400) || !(p.Omit >= 0 && p.Omit <= 600) || !(p.Bandwidth >= 0) || p.Num < 0 || p.Blocks < 0:
		return errors.New("a parameter is out of range")
	}
	return nil
}

// results is what each end tells the other when a test is over.
type results struct {
	CPUTotal    float64        `json:"cpu_util_total"`
	CPUUser     float64        `json:"cpu_util_user"`
	CPUSystem   float64        `json:"cpu_util_system"`
	Retransmits float64        `json:"sender_has_retransmits"` // 1: the sender counts them; iperf3 may write -1 as 2^64-1
	Streams     []streamResult `json:"streams"`
}

type streamResult struct {
	ID             int     `json:"id"`
	Bytes          int64   `json:"bytes"`
	Retransmits    float64 `json:"retransmits"`
	Jitter         float64 `json:"jitter"` // seconds
	Errors         int64   `json:"errors"`
	OmittedErrors  int64   `json:"omitted_errors"`
	Packets        int64   `json:"packets"`
	OmittedPackets int64   `json:"omitted_packets"`
	Start          float64 `json:"start_time"`
	End            float64 `json:"end_time"`
}

// newCookie makes a name for a test.
func newCookie(r *rand.Rand) string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	b := make([]byte, cookieLen-1)
	for i := range b {
		b[i] = letters[r.IntN(len(letters))]
	}
	return string(b)
}

// control is the connection of control. Its methods end with an error at the deadline of the connection.
type control struct{ net.Conn }

func (c control) put(s state) error {
	_, err := c.Write([]byte{byte(s)})
	return err
}

func (c control) get() (state, error) {
	var b [1]byte
	_, err := io.ReadFull(c, b[:])
	return state(b[0]), err
}

// putJSON writes a value with its length in front.
func (c control) putJSON(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

// getJSON reads a value with its length in front.
func (c control) getJSON(v any) error {
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxJSON {
		return fmt.Errorf("%d bytes of JSON are too many", n)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(c, text); err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
