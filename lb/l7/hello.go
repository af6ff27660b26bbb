package l7

import (
	"errors"

	"golang.org/x/crypto/cryptobyte"
)

// Numbers of TLS (RFC 8446 sections 4, 4.2 and 5.1; RFC 6066 section 3).
const (
	recordHandshake   = 22
	recordHeader      = 5
	maxRecord         = 1 << 14
	typeClientHello   = 1
	typeServerHello   = 2
	handshakeHeader   = 4
	extensionName     = 0
	nameTypeHost      = 0
	maxSessionID      = 32
	maxHello          = 1 << 16 // what a client may send before its server name is known
	alertUnrecognized = 112
)

// alertNoName is a fatal alert unrecognized_name, as a server sends it that does not know the name (RFC 6066 section 3).
var alertNoName = []byte{21, 3, 3, 0, 2, 2, alertUnrecognized}

// Hello is what a TLS client says of itself before anything is encrypted.
type Hello struct {
	ServerName string // as it was sent; empty: none
	SessionID  string // at most 32 bytes, as they were sent
}

var (
	errShortHello = errors.New("the ClientHello is not complete")
	errNoHello    = errors.New("it is no ClientHello")
	errSilent     = errors.New("the client left without a word")
)

// ParseHello reads the ClientHello that a TLS connection begins with; it may come in several records. complete is false
// if more of it is needed. An error says that it is none.
func ParseHello(b []byte) (h Hello, complete bool, err error) {
	message, err := firstMessage(b, typeClientHello)
	if err == nil {
		h, err = parseClientHello(message)
	}
	if errors.Is(err, errShortHello) {
		if len(b) > maxHello {
			return Hello{}, false, errNoHello
		}
		return Hello{}, false, nil
	}
	return h, err == nil, err
}

// firstMessage returns the body of the handshake message at the beginning of a connection.
func firstMessage(b []byte, kind uint8) (cryptobyte.String, error) {
	in := cryptobyte.String(b)
	var message []byte
	for {
		if len(in) > 0 && in[0] != recordHandshake {
			return nil, errNoHello
		}
		if len(in) < recordHeader {
			return nil, errShortHello
		}
		var major uint8
		var length uint16
		in.Skip(1)
		in.ReadUint8(&major)
		in.Skip(1)
		in.ReadUint16(&length)
		if major != 3 || length == 0 || length > maxRecord {
			return nil, errNoHello
		}
		part := min(len(in), int(length))
		message = append(message, in[:part]...)
		in.Skip(part)
		if len(message) > 0 && message[0] != kind {
			return nil, errNoHello
		}
		if len(message) >= handshakeHeader {
			size := int(message[1])<<16 | int(message[2])<<8 | int(message[3])
			if size > maxHello {
				return nil, errNoHello
			}
			if len(message) >= handshakeHeader+size {
				return message[handshakeHeader : handshakeHeader+size], nil
			}
		}
		if part < int(length) {
			return nil, errShortHello
		}
	}
}

func parseClientHello(s cryptobyte.String) (Hello, error) {
	var h Hello
	var session, suites, methods, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > maxSessionID ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&methods) {
		return Hello{}, errNoHello
	}
	h.SessionID = string(session)
	if s.Empty() {
		return h, nil // it has no extensions
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() {
		return Hello{}, errNoHello
	}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return Hello{}, errNoHello
		}
		if kind != extensionName {
			continue
		}
		name, ok := serverName(data)
		if !ok || h.ServerName != "" {
			return Hello{}, errNoHello
		}
		h.ServerName = name
	}
	return h, nil
}

// serverName reads a list of names, of which there is one (RFC 6066 section 3).
func serverName(data cryptobyte.String) (string, bool) {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) || list.Empty() || !data.Empty() {
		return "", false
	}
	name := ""
	for !list.Empty() {
		var kind uint8
		var value cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&value) || value.Empty() {
			return "", false
		}
		if kind != nameTypeHost {
			continue
		}
		if name != "" {
			return "", false
		}
		name = string(value)
	}
	return name, true
}

// newSession returns the session id that a server's first message gives a client which sent another; empty: none.
func newSession(b []byte, sent string) string {
	message, err := firstMessage(b, typeServerHello)
	var session cryptobyte.String
	if err != nil || !message.Skip(2+32) || !message.ReadUint8LengthPrefixed(&session) || len(session) > maxSessionID || string(session) == sent {
		return ""
	}
	return string(session)
}
