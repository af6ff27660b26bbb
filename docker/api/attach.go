package api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/docker/docker/api/types/common"
	"github.com/docker/docker/api/types/container"

	"github.com/netsim-lab/netsim/docker/engine"
)

// containerAttach answers docker attach, and docker run in the foreground.
func (c *call) containerAttach() error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.ctx())
	defer cancel()
	st := newStream(ctx, cancel)
	cfg := ctr.Config()
	stdin := c.bool("stdin")
	opts := engine.AttachOptions{Logs: c.bool("logs"), Stream: c.bool("stream")}
	stdout, stderr := outputs(st, cfg.TTY)
	if c.bool("stdout") || cfg.TTY && c.bool("stderr") {
		opts.Stdout = stdout
	}
	if c.bool("stderr") {
		opts.Stderr = stderr
	}
	if stdin {
		if opts.Stdin, err = detachable(st, c.query.Get("detachKeys"), cfg.TTY); err != nil {
			return err
		}
	}
	a, err := ctr.Attach(opts)
	if err != nil {
		return err
	}
	if err := st.open(c, cfg.TTY, stdin && cfg.OpenStdin); err != nil {
		cancel()
		_ = a.Run(ctx) // lets go of the attachment
		if st.conn != nil {
			st.close()
		}
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = st.conn.SetWriteDeadline(aLongTimeAgo) })
	defer stop()
	defer st.close()
	_ = a.Run(ctx) // the client has seen how it ended: by the end of the stream
	return nil
}

// execCreate answers the first request of docker exec.
func (c *call) execCreate() error {
	var req container.ExecOptions
	if err := c.decode(&req); err != nil {
		return err
	}
	if len(req.Cmd) == 0 {
		return invalid("No exec command specified")
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if c.version < version142 {
		req.ConsoleSize = nil
	}
	if _, err := engine.ParseDetachKeys(req.DetachKeys); err != nil {
		return err
	}
	x, err := ctr.CreateExec(engine.ExecConfig{
		Args: req.Cmd, Env: req.Env, TTY: req.Tty, Stdin: req.AttachStdin, Stdout: req.AttachStdout, Stderr: req.AttachStderr,
		Privileged: req.Privileged, User: req.User, WorkingDir: req.WorkingDir, DetachKeys: req.DetachKeys,
		ConsoleSize: consoleSize(req.ConsoleSize),
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, common.IDResponse{ID: x.ID()})
}

// execStart answers the second request of docker exec: it runs the command.
func (c *call) execStart() error {
	var req container.ExecStartOptions
	if err := c.decode(&req); err != nil {
		return err
	}
	x, err := c.s.engine.Exec(c.name)
	if err != nil {
		return err
	}
	if err := x.Check(); err != nil {
		return err
	}
	cfg := x.Config()
	var size engine.Size
	if req.ConsoleSize != nil && cfg.TTY && c.version >= version142 {
		size = consoleSize(req.ConsoleSize)
	}
	if req.Detach {
		if err := x.Start(c.ctx(), engine.ExecStreams{Detach: true}); err != nil {
			return err
		}
		return c.status(http.StatusOK)
	}
	return c.execAttached(x, size)
}

func (c *call) execAttached(x *engine.Exec, size engine.Size) error {
	cfg := x.Config()
	ctx, cancel := context.WithCancel(c.ctx())
	defer cancel()
	st := newStream(ctx, cancel)
	streams := engine.ExecStreams{ConsoleSize: size}
	stdout, stderr := outputs(st, cfg.TTY)
	if cfg.Stdout {
		streams.Stdout = stdout
	}
	if cfg.Stderr {
		streams.Stderr = stderr
	}
	if cfg.Stdin {
		in, err := detachable(st, cfg.DetachKeys, cfg.TTY)
		if err != nil {
			return err
		}
		streams.Stdin = in
	}
	err := st.open(c, cfg.TTY, cfg.Stdin)
	if st.conn == nil {
		return err
	}
	defer st.close()
	if err != nil {
		return err // the client has left
	}
	stop := context.AfterFunc(ctx, func() { _ = st.conn.SetWriteDeadline(aLongTimeAgo) })
	defer stop()
	if err := x.Start(ctx, streams); err != nil && !errors.Is(err, engine.ErrDetach) && ctx.Err() == nil {
		_, _ = io.WriteString(stderr, err.Error()+"\r\n") // the client may have left
	}
	return nil
}

// execInspected is a command of docker exec in the order of keys of API 1.50.
type execInspected struct {
	ID            string
	Running       bool
	ExitCode      *int
	ProcessConfig execProcess
	OpenStdin     bool
	OpenStderr    bool
	OpenStdout    bool
	CanRemove     bool
	ContainerID   string
	DetachKeys    []byte
	Pid           int
}

type execProcess struct {
	TTY        bool     `json:"tty"`
	Entrypoint string   `json:"entrypoint"`
	Arguments  []string `json:"arguments"`
	Privileged *bool    `json:"privileged,omitempty"`
	User       string   `json:"user,omitempty"`
}

// execInspect answers the last request of docker exec, which asks for the exit status.
func (c *call) execInspect() error {
	x, err := c.s.engine.Exec(c.name)
	if err != nil {
		return err
	}
	info := x.Inspect()
	v := execInspected{
		ID: info.ID, Running: info.Running, ExitCode: info.ExitCode, ContainerID: info.ContainerID, Pid: info.PID,
		OpenStdin: info.Config.Stdin, OpenStdout: info.Config.Stdout, OpenStderr: info.Config.Stderr,
		ProcessConfig: execProcess{TTY: info.Config.TTY, Privileged: &info.Config.Privileged, User: info.Config.User, Arguments: []string{}},
	}
	if args := info.Config.Args; len(args) > 0 {
		v.ProcessConfig.Entrypoint, v.ProcessConfig.Arguments = args[0], orEmpty(args[1:])
	}
	if keys, err := engine.ParseDetachKeys(info.Config.DetachKeys); err == nil && info.Config.DetachKeys != "" {
		v.DetachKeys = keys
	}
	return c.json(http.StatusOK, v)
}

// execResize answers the change of the size of a command's terminal.
func (c *call) execResize() error {
	size, err := c.size()
	if err != nil {
		return err
	}
	x, err := c.s.engine.Exec(c.name)
	if err != nil {
		return err
	}
	if err := x.Resize(size); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}
