package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ReplyKind is the type of a RESP value.
type ReplyKind byte

// The kinds of reply, RESP2 and RESP3, by their first byte on the wire.
const (
	ReplyStatus   ReplyKind = '+'
	ReplyError    ReplyKind = '-'
	ReplyInteger  ReplyKind = ':'
	ReplyBulk     ReplyKind = '$'
	ReplyArray    ReplyKind = '*'
	ReplyNil      ReplyKind = '_'
	ReplyBool     ReplyKind = '#'
	ReplyDouble   ReplyKind = ','
	ReplyBigInt   ReplyKind = '('
	ReplyVerbatim ReplyKind = '='
	ReplyMap      ReplyKind = '%'
	ReplySet      ReplyKind = '~'
	ReplyPush     ReplyKind = '>'
)

// Reply is one RESP value. Str holds the text of statuses, errors, bulk and
// verbatim strings, doubles and big numbers; Int that of integers and booleans
// (0 or 1); Elems that of the aggregates, keys and values in turn for a map.
// The zero Reply is no legal value.
type Reply struct {
	Kind  ReplyKind
	Str   string
	Int   int64
	Elems []Reply
}

// Err returns what the server said went wrong, nil if r is no error.
func (r Reply) Err() error {
	if r.Kind != ReplyError {
		return nil
	}
	return errors.New(r.Str)
}

// Limits of what is read from a peer. They are far above what the built-in
// programs exchange, and keep a hostile peer from taking the lab's memory.
const (
	maxLine     = 64 << 10 // one line, an inline command too
	maxBulk     = 16 << 20 // one bulk string
	maxMessage  = 64 << 20 // all bulk strings of a command or reply
	maxElements = 1 << 20  // all elements of a command or reply
	maxDepth    = 16       // nesting of a reply
)

// protocolError is what a peer sent that is not RESP.
type protocolError string

// Error implements error.
func (e protocolError) Error() string { return "Protocol error: " + string(e) }

// respReader reads RESP values. Its budget is renewed for every message.
type respReader struct {
	r        *bufio.Reader
	bytes    int
	elements int
}

func newRESPReader(r io.Reader) *respReader {
	return &respReader{r: bufio.NewReader(r)}
}

// line reads up to CR LF (or LF) and returns what is before it. The result is
// valid until the next read.
func (p *respReader) line(tooLong protocolError) ([]byte, error) {
	var long []byte
	for {
		part, err := p.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, part...)
			if len(long) > maxLine {
				return nil, tooLong
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if long != nil {
			part = append(long, part...)
		}
		return bytes.TrimSuffix(part[:len(part)-1], []byte{'\r'}), nil
	}
}

// length parses the count of a header line such as $12 or *3.
func length(b []byte, limit int, bad protocolError) (int, error) {
	n, err := strconv.Atoi(string(b))
	if err != nil || n < -1 || n > limit {
		return 0, bad
	}
	return n, nil
}

// bulk reads n bytes and the CR LF behind them. Memory grows with what
// arrives, never with what was announced.
func (p *respReader) bulk(n int) (string, error) {
	if p.bytes += n; p.bytes > maxMessage {
		return "", protocolError("message too big")
	}
	n += len("\r\n")
	var got []byte
	for len(got) < n {
		start := len(got)
		got = slices.Grow(got, min(n-start, maxLine))[:start+min(n-start, maxLine)]
		if _, err := io.ReadFull(p.r, got[start:]); err != nil {
			return "", unexpected(err)
		}
	}
	s, ok := strings.CutSuffix(string(got), "\r\n")
	if !ok {
		return "", protocolError("bulk string without its end")
	}
	return s, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ReadReply reads one RESP2 or RESP3 value, pushes included. It refuses what
// is deeper or larger than a server of this package sends.
func ReadReply(r *bufio.Reader) (Reply, error) {
	p := respReader{r: r}
	return p.reply(0)
}

func (p *respReader) reply(depth int) (Reply, error) {
	line, err := p.line("reply line too long")
	if err != nil {
		return Reply{}, err
	}
	if len(line) == 0 {
		return Reply{}, protocolError("empty reply line")
	}
	kind, rest := ReplyKind(line[0]), line[1:]
	switch kind {
	case ReplyStatus, ReplyError, ReplyDouble, ReplyBigInt:
		return Reply{Kind: kind, Str: string(rest)}, nil
	case ReplyInteger:
		n, err := strconv.ParseInt(string(rest), 10, 64)
		if err != nil {
			return Reply{}, protocolError("invalid integer")
		}
		return Reply{Kind: kind, Int: n}, nil
	case ReplyNil:
		return Reply{Kind: kind}, nil
	case ReplyBool:
		return boolReply(rest)
	case ReplyBulk, ReplyVerbatim:
		return p.bulkReply(kind, rest)
	case ReplyArray, ReplySet, ReplyPush, ReplyMap:
		return p.aggregate(kind, rest, depth)
	}
	return Reply{}, protocolError(fmt.Sprintf("unknown reply type %q", byte(kind)))
}

func boolReply(b []byte) (Reply, error) {
	switch string(b) {
	case "t":
		return Reply{Kind: ReplyBool, Int: 1}, nil
	case "f":
		return Reply{Kind: ReplyBool}, nil
	}
	return Reply{}, protocolError("invalid boolean")
}

func (p *respReader) bulkReply(kind ReplyKind, header []byte) (Reply, error) {
	n, err := length(header, maxBulk, "invalid bulk length")
	if err != nil {
		return Reply{}, err
	}
	if n < 0 {
		return Reply{Kind: ReplyNil}, nil
	}
	s, err := p.bulk(n)
	if err != nil {
		return Reply{}, err
	}
	if kind == ReplyVerbatim {
		if len(s) < 4 || s[3] != ':' {
			return Reply{}, protocolError("invalid verbatim string")
		}
		s = s[4:]
	}
	return Reply{Kind: kind, Str: s}, nil
}

func (p *respReader) aggregate(kind ReplyKind, header []byte, depth int) (Reply, error) {
	n, err := length(header, maxElements, "invalid multibulk length")
	if err != nil {
		return Reply{}, err
	}
	if n < 0 {
		return Reply{Kind: ReplyNil}, nil
	}
	if kind == ReplyMap {
		n *= 2
	}
	if p.elements += n; p.elements > maxElements || depth == maxDepth {
		return Reply{}, protocolError("reply too big")
	}
	reply := Reply{Kind: kind}
	for range n {
		elem, err := p.reply(depth + 1)
		if err != nil {
			return Reply{}, unexpected(err)
		}
		reply.Elems = append(reply.Elems, elem)
	}
	return reply, nil
}

// AppendCommand appends a command as clients send it: an array of bulk strings.
func AppendCommand(dst []byte, args ...string) []byte {
	dst = append(dst, '*')
	dst = strconv.AppendInt(dst, int64(len(args)), 10)
	dst = append(dst, "\r\n"...)
	for _, arg := range args {
		dst = append(dst, '$')
		dst = strconv.AppendInt(dst, int64(len(arg)), 10)
		dst = append(dst, "\r\n"...)
		dst = append(dst, arg...)
		dst = append(dst, "\r\n"...)
	}
	return dst
}
