package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"syscall"
)

// Numbers of SOCKS 5 (RFC 1928).
const (
	socksVersion = 5

	socksNoAuth       = 0    // section 3
	socksNoAcceptable = 0xff // section 3

	socksConnect = 1 // section 4
	socksIPv4    = 1 // section 5
	socksName    = 3
	socksIPv6    = 4

	socksOK                 = 0 // section 6
	socksFailed             = 1
	socksNetUnreachable     = 3
	socksHostUnreachable    = 4
	socksRefused            = 5
	socksCommandUnsupported = 7
	socksAddressUnsupported = 8
)

// socksError is why a SOCKS client gets no connection, and the reply that tells it.
type socksError struct {
	reply byte
	text  string
}

// Error implements error.
func (e *socksError) Error() string { return "socks: " + e.text }

// readSOCKS takes a client through the greeting and returns the HOST:PORT that it wants to be connected to. It answers the
// greeting; the answer to the request is the caller's. An error is a *socksError if the client understands an answer.
func readSOCKS(rw io.ReadWriter) (target string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return "", err
	}
	if head[0] != socksVersion {
		return "", fmt.Errorf("socks: version %d; this is version %d", head[0], socksVersion)
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(rw, methods); err != nil {
		return "", err
	}
	method := byte(socksNoAcceptable)
	for _, m := range methods {
		if m == socksNoAuth {
			method = socksNoAuth
		}
	}
	if _, err := rw.Write([]byte{socksVersion, method}); err != nil {
		return "", err
	}
	if method != socksNoAuth {
		return "", errors.New("socks: the client wants to log in; there is nothing to log in to")
	}
	return readSOCKSRequest(rw)
}

// readSOCKSRequest reads a request (RFC 1928, section 4).
func readSOCKSRequest(r io.Reader) (target string, err error) {
	var head [4]byte // version, command, reserved, kind of address
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	if head[0] != socksVersion {
		return "", fmt.Errorf("socks: request of version %d", head[0])
	}
	size := map[byte]int{socksIPv4: 4, socksIPv6: 16}[head[3]]
	if head[3] == socksName {
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", err
		}
		size = int(n[0])
	}
	if size == 0 {
		return "", &socksError{socksAddressUnsupported, fmt.Sprintf("address of kind %d and no bytes", head[3])}
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", err
	}
	if head[1] != socksConnect {
		return "", &socksError{socksCommandUnsupported, fmt.Sprintf("command %d; there is only CONNECT", head[1])}
	}
	host := string(b[:size])
	if head[3] != socksName {
		addr, _ := netip.AddrFromSlice(b[:size]) // 4 or 16 bytes
		host = addr.Unmap().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(b[size:])))), nil
}

// socksReply returns the answer to a request (RFC 1928, section 6); bound is where the connection comes from in the lab.
func socksReply(reply byte, bound net.Addr) []byte {
	at := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	if t, ok := bound.(*net.TCPAddr); ok {
		if a := t.AddrPort(); a.Addr().Unmap().Is4() {
			at = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
	}
	b := append([]byte{socksVersion, reply, 0, socksIPv4}, at.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, at.Port())
}

// socksReplyTo returns the reply that tells of an error.
func socksReplyTo(err error) byte {
	var (
		se *socksError
		ne *net.DNSError
	)
	switch {
	case errors.As(err, &se):
		return se.reply
	case errors.Is(err, syscall.ECONNREFUSED):
		return socksRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return socksNetUnreachable
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne):
		return socksHostUnreachable
	}
	return socksFailed
}
