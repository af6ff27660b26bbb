package lab

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/engine"
)

// The control protocol: a connection carries one request and what belongs to it, in frames of a kind, a length of four
// bytes and as many bytes. The client's first frame is a request; the lab's last an answer.
const (
	frameRequest byte = 'q' // a request as JSON
	frameAnswer  byte = 'a' // an answer as JSON, the last frame
	frameIn      byte = 'i' // standard input
	frameInEnd   byte = 'e' // the end of the standard input, or of a capture
	frameSize    byte = 'z' // the size of the client's terminal: rows and columns, two bytes each
	frameStop    byte = 's' // Ctrl-C: the command is to end, and may still say something
	frameOut     byte = 'o' // standard output, or pcapng
	frameErr     byte = 'r' // standard error
	frameStory   byte = 't' // a part of a story as JSON
)

const (
	protocolVersion = 2
	maxFrame        = 1 << 20
	chunkSize       = 32 << 10
)

// The operations.
const (
	opHello     = "hello"
	opNodes     = "nodes"
	opExec      = "exec"
	opExplain   = "explain"
	opCapture   = "capture"
	opLink      = "link"
	opPartition = "partition"
	opTAP       = "tap"
	opSwarm     = "swarm"
	opDown      = "down"
)

// request is what a client asks for.
type request struct {
	Version   int
	Op        string
	Exec      *ExecRequest      `json:",omitempty"`
	Capture   *CaptureRequest   `json:",omitempty"`
	Link      *LinkRequest      `json:",omitempty"`
	Partition *PartitionRequest `json:",omitempty"`
	TAP       *TAPRequest       `json:",omitempty"`
	Swarm     *string           `json:",omitempty"` // a host; "": all
}

// answer is how it went.
type answer struct {
	Error   string        `json:",omitempty"`
	Exit    int           `json:",omitempty"`
	Info    *Info         `json:",omitempty"`
	Nodes   []NodeInfo    `json:",omitempty"`
	Capture *CaptureStats `json:",omitempty"`
	Links   []LinkState   `json:",omitempty"`
	Parted  []Parted      `json:",omitempty"`
	Swarm   []SwarmNode   `json:",omitempty"`
}

// ExecRequest is a command to run in a running lab. One of Argv, Line and Shell is to be set.
type ExecRequest struct {
	Node  string
	Argv  []string `json:",omitempty"` // a command and its arguments, run without a shell
	Line  string   `json:",omitempty"` // a line of POSIX shell
	Shell bool     `json:",omitempty"` // an interactive shell, whose input may hold 0x03 for Ctrl-C and 0x04 for Ctrl-D
	TTY   bool     `json:",omitempty"` // as docker exec -it: what Argv runs has a terminal; see Shell
	// Terminal is the size of the terminal that the standard input and output are, in raw mode: the lab echoes and edits what
	// is typed, and standard error goes to standard output. nil: they are none.
	Terminal *engine.Size `json:",omitempty"`
	// Resized sends later sizes of the terminal, until it is closed or the command ends; nil: it keeps its size.
	Resized <-chan engine.Size `json:"-"`
	Input   bool               `json:",omitempty"` // set by the client: there is a standard input
}

// Info tells which lab runs where.
type Info struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	PID         int         `json:"pid"`
	Started     time.Time   `json:"started"`
	Dir         string      `json:"dir"`
	Listening   []Listening `json:"listening,omitempty"` // its real sockets
	Switches    []string    `json:"switches,omitempty"`
}

// NodeInfo tells of a node of a running lab.
type NodeInfo struct {
	Name      string          `json:"name"`
	Kind      NodeKind        `json:"kind"`
	Host      string          `json:"host"`
	Container string          `json:"container,omitempty"` // its name
	ID        string          `json:"id,omitempty"`
	Image     string          `json:"image,omitempty"`
	Docker    string          `json:"docker,omitempty"` // the socket of a host's Docker API
	Netns     string          `json:"netns,omitempty"`  // the network namespace of a host of the kernel, for nsenter --net
	Ifaces    []InterfaceInfo `json:"interfaces"`
}

// InterfaceInfo is an interface of a node.
type InterfaceInfo struct {
	Name  string   `json:"name"`
	MAC   string   `json:"mac,omitempty"`
	MTU   int      `json:"mtu"`
	Up    bool     `json:"up"`
	Addrs []string `json:"addresses,omitempty"`
}

// frames is one end of a control connection. It may be written to from several goroutines, and read from one.
type frames struct {
	conn  net.Conn
	r     *bufio.Reader
	story io.Writer // of await: where the parts of a story go; nil: nowhere

	mu sync.Mutex // held while a frame is written
}

func newFrames(conn net.Conn) *frames { return &frames{conn: conn, r: bufio.NewReader(conn)} }

// read returns the next frame.
func (f *frames) read() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("control frame of %d bytes; the most are %d", n, maxFrame)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(f.r, body)
	return head[0], body, err
}

func (f *frames) write(kind byte, body []byte) error {
	head := [5]byte{0: kind}
	binary.BigEndian.PutUint32(head[1:], uint32(len(body)))
	f.mu.Lock()
	defer f.mu.Unlock()
	both := net.Buffers{head[:], body}
	_, err := both.WriteTo(f.conn)
	return err
}

func (f *frames) writeJSON(kind byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > maxFrame {
		return fmt.Errorf("control message of %d bytes; the most are %d", len(b), maxFrame)
	}
	return f.write(kind, b)
}

// stream returns a writer whose bytes go as frames of a kind.
func (f *frames) stream(kind byte) io.Writer { return frameStream{f, kind} }

type frameStream struct {
	f    *frames
	kind byte
}

// Write implements io.Writer.
func (s frameStream) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), chunkSize)
		if err := s.f.write(s.kind, rest[:n]); err != nil {
			return len(b) - len(rest), err
		}
		rest = rest[n:]
	}
	return len(b), nil
}

// inbox holds the standard input that a client sent and a command has not read. While there is too much of it, put
// waits.
type inbox struct {
	mu     sync.Mutex
	news   *sync.Cond
	b      []byte // guarded by mu
	ended  bool   // guarded by mu: nothing more comes
	closed bool   // guarded by mu: nobody reads any more
}

// inboxLimit is how many bytes wait at most, and one frame more.
const inboxLimit = 1 << 20

func newInbox() *inbox {
	in := &inbox{}
	in.news = sync.NewCond(&in.mu)
	return in
}

var errInboxClosed = errors.New("the command has ended")

// put adds bytes.
func (in *inbox) put(b []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.b) > inboxLimit && !in.closed {
		in.news.Wait()
	}
	if !in.closed && !in.ended {
		in.b = append(in.b, b...)
		in.news.Broadcast()
	}
}

// end says that nothing more comes.
func (in *inbox) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	in.news.Broadcast()
}

// close ends every put and Read.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.b = true, nil
	in.news.Broadcast()
}

// Read implements io.Reader.
func (in *inbox) Read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.b) == 0 && !in.ended && !in.closed {
		in.news.Wait()
	}
	if in.closed {
		return 0, errInboxClosed
	}
	if len(in.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, in.b)
	in.b = in.b[n:]
	in.news.Broadcast()
	return n, nil
}
