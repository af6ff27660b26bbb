package image

import "fmt"

// command reads what a client asks: an array of bulk strings or, as people
// type it into nc, a line of words. It skips empty requests; the result has at
// least one element. A protocolError is to be told to the client.
func (p *respReader) command() ([]string, error) {
	for {
		p.bytes, p.elements = 0, 0
		line, err := p.line("too big inline request")
		if err != nil {
			return nil, err
		}
		var args []string
		if len(line) > 0 && line[0] == '*' {
			args, err = p.multibulk(line[1:])
		} else {
			args, err = splitInline(string(line))
		}
		if err != nil {
			return nil, err
		}
		if len(args) > 0 {
			return args, nil
		}
	}
}

func (p *respReader) multibulk(header []byte) ([]string, error) {
	n, err := length(header, maxElements, "invalid multibulk length")
	if err != nil {
		return nil, err
	}
	var args []string
	for i := 0; i < n; i++ {
		line, err := p.line("too big bulk count string")
		if err != nil {
			return nil, unexpected(err)
		}
		if len(line) == 0 || line[0] != '$' {
			first := byte(' ')
			if len(line) > 0 {
				first = line[0]
			}
			return nil, protocolError(fmt.Sprintf("expected '$', got '%c'", first))
		}
		size, err := length(line[1:], maxBulk, "invalid bulk length")
		if err != nil {
			return nil, err
		}
		if size < 0 {
			return nil, protocolError("invalid bulk length")
		}
		arg, err := p.bulk(size)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// splitInline splits a line into words; "a b" and 'a b' are one word each, and
// a backslash inside quotes escapes the next character.
func splitInline(line string) ([]string, error) {
	const unbalanced = protocolError("unbalanced quotes in request")
	var (
		args  []string
		word  []byte
		open  bool // inside a word
		quote byte // the quote the word is in, or 0
	)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote != 0 && c == '\\' && i+1 < len(line):
			i++
			word = append(word, unescape(quote, line[i])...)
		case quote != 0 && c == quote:
			quote = 0
			if i+1 < len(line) && !isSpace(line[i+1]) {
				return nil, unbalanced
			}
		case quote != 0:
			word = append(word, c)
		case isSpace(c):
			if open {
				args, word, open = append(args, string(word)), word[:0], false
			}
		case !open && (c == '"' || c == '\''):
			quote, open = c, true
		default:
			word, open = append(word, c), true
		}
	}
	if quote != 0 {
		return nil, unbalanced
	}
	if open {
		args = append(args, string(word))
	}
	return args, nil
}

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

// unescape returns what backslash and c stand for inside quote.
func unescape(quote, c byte) []byte {
	if quote == '\'' {
		if c == '\'' {
			return []byte{c}
		}
		return []byte{'\\', c}
	}
	switch c {
	case 'n':
		return []byte{'\n'}
	case 'r':
		return []byte{'\r'}
	case 't':
		return []byte{'\t'}
	case 'a':
		return []byte{'\a'}
	case 'b':
		return []byte{'\b'}
	}
	return []byte{c}
}
