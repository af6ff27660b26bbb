package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	gogotypes "github.com/gogo/protobuf/types"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// serviceLogs answers docker service logs SERVICE.
func (c *call) serviceLogs() error {
	ctl, err := c.control()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	s, err := findService(ctx, ctl, c.name, false)
	if err != nil {
		return err
	}
	return c.swarmLogs(&swarmapi.LogSelector{ServiceIDs: []string{s.ID}}, s.Spec.Task.GetContainer())
}

// taskLogs answers docker service logs TASK.
func (c *call) taskLogs() error {
	ctl, err := c.control()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx(), swarmPatience)
	defer cancel()
	t, err := findTask(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	return c.swarmLogs(&swarmapi.LogSelector{TaskIDs: []string{t.ID}}, t.Spec.GetContainer())
}

// swarmLogs streams what tasks wrote.
func (c *call) swarmLogs(which *swarmapi.LogSelector, ctr *swarmapi.ContainerSpec) error {
	logs, ok := c.s.cfg.Swarm.(SwarmLogs)
	switch {
	case ctr == nil:
		return invalid("logs only supported on container tasks")
	case !ok:
		return &apiError{http.StatusNotImplemented, "the logs of services are not to be had here: use docker logs where the task runs"}
	}
	opts, err := c.logOptions()
	if err != nil {
		return err
	}
	c.begin(c.contentType(ctr.TTY))
	stdout, stderr := outputs(c.w, ctr.TTY)
	stamps, details := c.bool("timestamps"), c.bool("details")
	var line []byte
	_ = logs.Logs(c.ctx(), &swarmapi.SubscribeLogsRequest{Selector: which, Options: opts}, func(m *swarmapi.SubscribeLogsMessage) error {
		for i := range m.Messages {
			msg := &m.Messages[i]
			w := stdout
			if msg.Stream == swarmapi.LogStreamStderr {
				w = stderr
			}
			line = appendLogLine(line[:0], msg, stamps, details)
			if _, err := w.Write(line); err != nil {
				return err
			}
		}
		c.flush()
		return nil
	}) // it ends when the client leaves
	return nil
}

// logOptions reads which of the lines are wanted.
func (c *call) logOptions() (*swarmapi.LogSubscriptionOptions, error) {
	o := &swarmapi.LogSubscriptionOptions{Follow: c.bool("follow")}
	if c.bool("stdout") {
		o.Streams = append(o.Streams, swarmapi.LogStreamStdout)
	}
	if c.bool("stderr") {
		o.Streams = append(o.Streams, swarmapi.LogStreamStderr)
	}
	if len(o.Streams) == 0 {
		return nil, invalid("Bad parameters: you must choose at least one stream")
	}
	if text := c.query.Get("tail"); text != "" && text != "all" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, invalid(`tail value must be a positive integer or "all"`)
		}
		o.Tail = int64(-(n + 1)) // as swarmkit has it: -1 is none, 0 is all
	}
	since, err := parseTime(c.query.Get("since"))
	if err != nil || since.IsZero() {
		return o, err
	}
	o.Since, err = gogotypes.TimestampProto(since)
	return o, err
}

// appendLogLine appends a line with what was asked for in front; the docker command finds the task in the details.
func appendLogLine(b []byte, m *swarmapi.LogMessage, stamp, details bool) []byte {
	if at, err := gogotypes.TimestampFromProto(m.Timestamp); stamp && err == nil {
		b = append(at.AppendFormat(b, logStamp), ' ')
	}
	if details {
		all := make([]string, 0, 3+len(m.Attrs))
		for _, a := range m.Attrs {
			if !strings.HasPrefix(a.Key, "com.docker.swarm.") {
				all = append(all, a.Key+"="+a.Value)
			}
		}
		all = append(all, "com.docker.swarm.node.id="+m.Context.NodeID, "com.docker.swarm.service.id="+m.Context.ServiceID,
			"com.docker.swarm.task.id="+m.Context.TaskID)
		b = append(append(b, strings.Join(all, ",")...), ' ')
	}
	return append(b, m.Data...)
}
