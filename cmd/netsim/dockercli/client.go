package dockercli

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// apiClient is docker's client of an engine. Where docker would turn to the terminal of the process, for its size and its
// raw mode, it turns to that of the call.
type apiClient struct {
	client.APIClient
	session *session
	runs    atomic.Bool // a container is about to be started, and docker asks next how it waits for its end
}

// ContainerCreate implements client.ContainerAPIClient.
func (a *apiClient) ContainerCreate(ctx context.Context, cfg *container.Config, host *container.HostConfig, nets *network.NetworkingConfig,
	platform *ocispec.Platform, name string) (container.CreateResponse, error) {
	if host != nil && cfg != nil && cfg.Tty {
		host.ConsoleSize = a.session.term.size()
	}
	r, err := a.APIClient.ContainerCreate(ctx, cfg, host, nets, platform, name)
	if err == nil && cfg != nil {
		a.session.noteTTY(cfg.Tty, r.ID)
		a.runs.Store(true)
	}
	return r, err
}

// ContainerInspect implements client.ContainerAPIClient.
func (a *apiClient) ContainerInspect(ctx context.Context, id string) (container.InspectResponse, error) {
	r, err := a.APIClient.ContainerInspect(ctx, id)
	if err == nil && r.ContainerJSONBase != nil && r.Config != nil {
		a.session.noteTTY(r.Config.Tty, id, r.ID)
	}
	return r, err
}

// ContainerAttach implements client.ContainerAPIClient.
func (a *apiClient) ContainerAttach(ctx context.Context, id string, opts container.AttachOptions) (types.HijackedResponse, error) {
	r, err := a.APIClient.ContainerAttach(ctx, id, opts)
	if err != nil {
		return r, err
	}
	a.runs.Store(true)
	if a.session.hasTTY(id) {
		return a.session.onTerminal(r, func(ctx context.Context, size container.ResizeOptions) error {
			return a.ContainerResize(ctx, id, size)
		}), nil
	}
	a.session.setAttached(id)
	return a.session.hijack(r, func() {}), nil
}

// ContainerExecCreate implements client.ContainerAPIClient.
func (a *apiClient) ContainerExecCreate(ctx context.Context, id string, opts container.ExecOptions) (container.ExecCreateResponse, error) {
	if opts.Tty {
		opts.ConsoleSize = a.session.term.consoleSize()
	}
	return a.APIClient.ContainerExecCreate(ctx, id, opts)
}

// ContainerExecAttach implements client.ContainerAPIClient.
func (a *apiClient) ContainerExecAttach(ctx context.Context, id string, opts container.ExecAttachOptions) (types.HijackedResponse, error) {
	if opts.Tty {
		opts.ConsoleSize = a.session.term.consoleSize()
	}
	r, err := a.APIClient.ContainerExecAttach(ctx, id, opts)
	if err != nil {
		return r, err
	}
	if opts.Tty {
		return a.session.onTerminal(r, func(ctx context.Context, size container.ResizeOptions) error {
			return a.ContainerExecResize(ctx, id, size)
		}), nil
	}
	return a.session.hijack(r, func() {}), nil
}

func (s *session) noteTTY(tty bool, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.ttys[id] = tty
	}
}

func (s *session) hasTTY(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ttys[id]
}

// onTerminal attaches the call's terminal to a program that has one: it is raw until the connection is closed, and the
// program hears of its sizes. Docker is told that there is no terminal any more, or it would look for that of the process.
func (s *session) onTerminal(r types.HijackedResponse, resize func(context.Context, container.ResizeOptions) error) types.HijackedResponse {
	s.cli.in.SetIsTerminal(false)
	s.cli.out.SetIsTerminal(false)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.cli.ctx))
	var group sync.WaitGroup
	if s.term.screen != nil {
		group.Go(func() { s.term.follow(ctx, resize) })
	}
	restore := s.term.raw()
	return s.hijack(r, func() {
		cancel()
		restore()
		group.Wait()
	})
}

// hijack makes the streams of an attached program the session's.
func (s *session) hijack(r types.HijackedResponse, closed func()) types.HijackedResponse {
	r.Reader = bufio.NewReader(&hijacked{session: s, r: r.Reader})
	r.Conn = &attachedConn{Conn: r.Conn, closed: sync.OnceFunc(closed)}
	return r
}

// attachedConn is the connection to an attached program.
type attachedConn struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *attachedConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

// CloseWrite implements types.CloseWriter.
func (c *attachedConn) CloseWrite() error {
	if w, ok := c.Conn.(types.CloseWriter); ok {
		return w.CloseWrite()
	}
	return nil
}
