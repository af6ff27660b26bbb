package api

import (
	"io"
	"strconv"

	"github.com/netsim-lab/netsim/docker/engine"
)

// logStamp is RFC 3339 with nine decimals, as docker logs -t prints times.
const logStamp = "2006-01-02T15:04:05.000000000Z07:00"

// containerLogs answers docker logs.
func (c *call) containerLogs() error {
	opts := engine.LogOptions{Stdout: c.bool("stdout"), Stderr: c.bool("stderr"), Follow: c.bool("follow"), Tail: -1}
	if !opts.Stdout && !opts.Stderr {
		return invalid("Bad parameters: you must choose at least one stream")
	}
	if n, err := strconv.Atoi(c.query.Get("tail")); err == nil && n >= 0 {
		opts.Tail = n // anything else, as "all", is all
	}
	var err error
	if opts.Since, err = parseTime(c.query.Get("since")); err != nil {
		return err
	}
	if opts.Until, err = parseTime(c.query.Get("until")); err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	tty := ctr.Config().TTY
	if tty {
		opts.Stdout = true // a terminal has one stream
	}
	c.begin(c.contentType(tty))
	stdout, stderr := outputs(c.w, tty)
	line := logLine{stamps: c.bool("timestamps"), details: c.bool("details")}
	_ = ctr.ReadLogs(c.ctx(), opts, func(e engine.LogEntry) error { // it ends when the client leaves
		w := stdout
		if e.Stderr {
			w = stderr
		}
		if err := line.write(w, e); err != nil {
			return err
		}
		if opts.Follow {
			c.flush()
		}
		return nil
	})
	return nil
}

// logLine writes lines with what was asked for in front.
type logLine struct {
	stamps, details bool
	buf             []byte
}

func (l *logLine) write(w io.Writer, e engine.LogEntry) error {
	l.buf = l.buf[:0]
	if l.stamps {
		l.buf = append(e.At.UTC().AppendFormat(l.buf, logStamp), ' ')
	}
	if l.details {
		l.buf = append(l.buf, ' ') // there are none
	}
	l.buf = append(l.buf, e.Text...)
	_, err := w.Write(l.buf)
	return err
}
