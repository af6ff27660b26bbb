package dns

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	mdns "github.com/miekg/dns"
)

// longAgo is a deadline that ends what waits on a connection.
var longAgo = time.Unix(1, 0)

// messageBuffers are for reading one message of any size.
var messageBuffers = sync.Pool{New: func() any { return new([maxMessage]byte) }}

// exchange sends req to server and returns the reply and its size on the wire. Over UDP, what does not answer req is
// passed over. It ends with ctx.
func exchange(ctx context.Context, dial DialFunc, server netip.AddrPort, req *mdns.Msg, t transport) (*mdns.Msg, int, error) {
	wire, err := req.Pack()
	if err != nil {
		return nil, 0, fmt.Errorf("build dns query: %w", err)
	}
	conn, err := dial(ctx, t.String(), server.String())
	if err != nil {
		return nil, 0, fmt.Errorf("reach dns server %s: %w", server, err)
	}
	defer func() { _ = conn.Close() }() // nothing is lost with it
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // the AfterFunc below is the one that counts
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(longAgo) })
	defer stop()
	if err := writeMessage(conn, wire, t); err != nil {
		return nil, 0, fmt.Errorf("ask dns server %s: %w", server, err)
	}
	resp, size, err := readReply(conn, req, t)
	if err != nil {
		return nil, 0, fmt.Errorf("hear from dns server %s: %w", server, err)
	}
	return resp, size, nil
}

// readReply reads until the reply to req has come.
func readReply(conn net.Conn, req *mdns.Msg, t transport) (*mdns.Msg, int, error) {
	buf := messageBuffers.Get().(*[maxMessage]byte)
	defer messageBuffers.Put(buf)
	for {
		n, err := readMessage(conn, buf[:], t)
		if err != nil {
			return nil, 0, err
		}
		resp := new(mdns.Msg)
		err = resp.Unpack(buf[:n])
		if err == nil && answers(resp, req) {
			return resp, n, nil
		}
		if t == overTCP {
			return nil, 0, fmt.Errorf("the reply does not fit the query %q", req.Question[0].Name)
		}
	}
}

// answers reports whether resp is a reply to req.
func answers(resp, req *mdns.Msg) bool {
	if resp.Id != req.Id || !resp.Response || len(req.Question) != 1 {
		return false
	}
	if len(resp.Question) == 0 { // some servers leave it out of a reply with an error
		return resp.Rcode != mdns.RcodeSuccess
	}
	asked, got := req.Question[0], resp.Question[0]
	return asked.Qtype == got.Qtype && asked.Qclass == got.Qclass && strings.EqualFold(asked.Name, got.Name)
}

// writeMessage sends one message, with its length in front on a stream: RFC 1035 section 4.2.2.
func writeMessage(conn io.Writer, wire []byte, t transport) error {
	if t == overTCP {
		framed := make([]byte, 2, 2+len(wire))
		binary.BigEndian.PutUint16(framed, uint16(len(wire)))
		wire = append(framed, wire...)
	}
	_, err := conn.Write(wire)
	return err
}

// readMessage reads one message into buf, which has room for the longest.
func readMessage(conn io.Reader, buf []byte, t transport) (n int, err error) {
	if t == overUDP {
		return conn.Read(buf)
	}
	if _, err := io.ReadFull(conn, buf[:2]); err != nil {
		return 0, err
	}
	n = int(binary.BigEndian.Uint16(buf))
	return io.ReadFull(conn, buf[:n])
}
