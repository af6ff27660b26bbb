package image

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatReply returns r as redis-cli prints it on a terminal, newline
// included: (integer) 1, "text", (nil), 1) "a".
func FormatReply(r Reply) string {
	var b strings.Builder
	formatReply(&b, r, "")
	return b.String()
}

func formatReply(b *strings.Builder, r Reply, prefix string) {
	switch r.Kind {
	case ReplyError:
		b.WriteString("(error) " + r.Str + "\n")
	case ReplyInteger:
		fmt.Fprintf(b, "(integer) %d\n", r.Int)
	case ReplyDouble:
		b.WriteString("(double) " + r.Str + "\n")
	case ReplyBulk:
		quoteTo(b, r.Str)
		b.WriteByte('\n')
	case ReplyNil:
		b.WriteString("(nil)\n")
	case ReplyBool:
		fmt.Fprintf(b, "(%t)\n", r.Int != 0)
	case ReplyArray, ReplyMap, ReplySet, ReplyPush:
		formatAggregate(b, r, prefix)
	default: // statuses, big numbers and verbatim strings as they are
		b.WriteString(r.Str + "\n")
	}
}

func formatAggregate(b *strings.Builder, r Reply, prefix string) {
	if len(r.Elems) == 0 {
		names := map[ReplyKind]string{ReplyMap: "hash", ReplySet: "set", ReplyPush: "push"}
		name, ok := names[r.Kind]
		if !ok {
			name = "array"
		}
		b.WriteString("(empty " + name + ")\n")
		return
	}
	step, sign := 1, ")"
	switch r.Kind {
	case ReplyMap:
		step, sign = 2, "#"
	case ReplySet:
		sign = "~"
	}
	width := len(strconv.Itoa(len(r.Elems) / step))
	inner := prefix + strings.Repeat(" ", width+2)
	for i := 0; i < len(r.Elems); i += step {
		if i > 0 { // the caller has written what precedes the first line
			b.WriteString(prefix)
		}
		fmt.Fprintf(b, "%*d%s ", width, i/step+1, sign)
		if step == 2 && i+1 < len(r.Elems) {
			var key strings.Builder
			formatReply(&key, r.Elems[i], inner)
			b.WriteString(strings.TrimSuffix(key.String(), "\n") + " => ")
			formatReply(b, r.Elems[i+1], inner)
			continue
		}
		formatReply(b, r.Elems[i], inner)
	}
}

// quoteTo writes s in double quotes, with C's escapes for what is no printable
// ASCII.
func quoteTo(b *strings.Builder, s string) {
	const named = "\n\r\t\a\b"
	b.WriteByte('"')
	for i := range len(s) {
		c := s[i]
		switch at := strings.IndexByte(named, c); {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case at >= 0:
			b.WriteByte('\\')
			b.WriteByte("nrtab"[at])
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(b, `\x%02x`, c)
		}
	}
	b.WriteByte('"')
}

// FormatRaw returns r as redis-cli prints it into a pipe, newline included:
// bare text, one element a line.
func FormatRaw(r Reply) string {
	var b strings.Builder
	formatRaw(&b, r)
	b.WriteByte('\n')
	return b.String()
}

func formatRaw(b *strings.Builder, r Reply) {
	switch r.Kind {
	case ReplyNil:
	case ReplyError:
		b.WriteString(r.Str + "\n")
	case ReplyInteger:
		b.WriteString(strconv.FormatInt(r.Int, 10))
	case ReplyBool:
		fmt.Fprintf(b, "(%t)", r.Int != 0)
	case ReplyMap:
		for i := 0; i+1 < len(r.Elems); i += 2 {
			if i > 0 {
				b.WriteByte('\n')
			}
			formatRaw(b, r.Elems[i])
			b.WriteByte(' ')
			formatRaw(b, r.Elems[i+1])
		}
	case ReplyArray, ReplySet, ReplyPush:
		for i, elem := range r.Elems {
			if i > 0 {
				b.WriteByte('\n')
			}
			formatRaw(b, elem)
		}
	default:
		b.WriteString(r.Str)
	}
}
