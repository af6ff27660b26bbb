package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
)

// ErrNotRunning is what errors about a lab that does not run wrap.
var ErrNotRunning = errors.New("no such lab runs")

// Client reaches a lab that runs in this or another process of the same user, by its control socket. All methods may be
// called at once; each uses a connection of its own.
type Client struct {
	dir  string
	info Info
}

// Running returns the labs of this user that run, by name. What dead ones left behind is removed.
func Running() ([]Info, error) {
	base := baseDir()
	if err := checkDir(base); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list running labs: %w", err)
	}
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, fmt.Errorf("list running labs: %w", err)
	}
	var all []Info
	for _, e := range entries {
		c, err := dial(filepath.Join(base, e.Name()))
		switch {
		case err == nil:
			all = append(all, c.info)
		case errors.Is(err, errStale):
			sweep(base, e.Name())
		}
	}
	return all, nil
}

// sweep removes the directory of a dead lab; one that came to life meanwhile, or holds anything else, is left alone.
func sweep(base, name string) {
	unlock, err := lockDir(base)
	if err != nil {
		return
	}
	defer unlock()
	_ = removeStale(filepath.Join(base, name)) // it is only tidying
}

// Dial finds the running lab of that name; an empty name is that of the only one that runs. The error wraps
// ErrNotRunning if there is none.
func Dial(name string) (*Client, error) {
	if name == "" {
		return dialOnly()
	}
	if !dirName.MatchString(name) {
		return nil, fmt.Errorf("%w: %q is no name of a lab", ErrNotRunning, name)
	}
	dir := Dir(name)
	if err := checkDir(filepath.Dir(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q%s", ErrNotRunning, name, runningHint(name))
	} else if err != nil {
		return nil, fmt.Errorf("reach lab %s: %w", name, err)
	}
	c, err := dial(dir)
	if errors.Is(err, errStale) || errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q%s", ErrNotRunning, name, runningHint(name))
	}
	if err != nil {
		return nil, fmt.Errorf("reach lab %s: %w", name, err)
	}
	return c, nil
}

func dialOnly() (*Client, error) {
	all, err := Running()
	if err != nil {
		return nil, err
	}
	switch len(all) {
	case 0:
		return nil, fmt.Errorf("%w: start one with netsim up NAME", ErrNotRunning)
	case 1:
		return Dial(all[0].Name)
	}
	return nil, fmt.Errorf("%d labs run: say which of %s, as with --lab NAME or netsim down NAME", len(all), strings.Join(labNames(all), ", "))
}

func labNames(all []Info) []string {
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	return names
}

// runningHint ends the message about a lab that does not run.
func runningHint(name string) string {
	all, err := Running()
	if err != nil || len(all) == 0 {
		return "; none does"
	}
	if text := near(name, labNames(all)); text != "" {
		return text
	}
	return "; there are " + strings.Join(labNames(all), ", ")
}

// dial asks the lab of a directory who it is.
func dial(dir string) (*Client, error) {
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	c := &Client{dir: dir}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	a, err := c.ask(ctx, request{Op: opHello})
	if err != nil {
		return nil, err
	}
	if a.Info == nil {
		return nil, fmt.Errorf("%s does not say which lab it is", filepath.Join(dir, socketName))
	}
	c.info = *a.Info
	return c, nil
}

// Info tells which lab it is.
func (c *Client) Info() Info { return c.info }

// Nodes returns the nodes of the lab.
func (c *Client) Nodes(ctx context.Context) ([]NodeInfo, error) {
	a, err := c.ask(ctx, request{Op: opNodes})
	if err != nil {
		return nil, fmt.Errorf("list the nodes of lab %s: %w", c.info.Name, err)
	}
	return a.Nodes, nil
}

// Down ends the lab, and returns once it is gone with all it had.
func (c *Client) Down(ctx context.Context) error {
	if _, err := c.ask(ctx, request{Op: opDown}); err != nil {
		return fmt.Errorf("end lab %s: %w", c.info.Name, err)
	}
	for {
		if _, err := os.Lstat(c.dir); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("end lab %s: %w", c.info.Name, ctx.Err())
		}
	}
}

// Exec runs a command in a node of the lab and returns its exit status. When ctx ends the command is ended, too, and has
// a moment for its last words, such as the statistics of ping. The error is not nil if the command could not be run, if
// ctx ended first, or if the lab ended meanwhile. A Read of stdio.In that is under way when the command ends goes on,
// and what it returns is thrown away.
func (c *Client) Exec(ctx context.Context, req ExecRequest, stdio shell.Stdio) (exit int, err error) {
	req.Input = stdio.In != nil
	f, done, err := c.open(context.WithoutCancel(ctx), request{Op: opExec, Exec: &req})
	if err != nil {
		return 1, fmt.Errorf("exec in %s: %w", req.Node, err)
	}
	defer done()
	stop := context.AfterFunc(ctx, func() {
		_ = f.conn.SetDeadline(time.Now().Add(farewell))
		_ = f.write(frameStop, nil) // or the lab has ended, and await knows
	})
	defer stop()
	if stdio.In != nil {
		go f.sendInput(stdio.In)
	}
	if req.Resized != nil {
		over := make(chan struct{})
		defer close(over)
		go f.sendSizes(req.Resized, over)
	}
	a, err := f.await(ctx, stdio.Out, stdio.Err)
	switch {
	case err != nil:
		return 1, fmt.Errorf("exec in %s: %w", req.Node, err)
	case ctx.Err() != nil:
		return a.Exit, ctx.Err()
	case a.Error != "":
		return a.Exit, errors.New(a.Error)
	}
	return a.Exit, nil
}

// Capture writes what passes interfaces of nodes to w as pcapng, until ctx ends or there is enough; see Lab.Capture.
func (c *Client) Capture(ctx context.Context, req CaptureRequest, w io.Writer) (CaptureStats, error) {
	f, done, err := c.open(context.WithoutCancel(ctx), request{Op: opCapture, Capture: &req})
	if err != nil {
		return CaptureStats{}, fmt.Errorf("capture: %w", err)
	}
	defer done()
	stop := context.AfterFunc(ctx, func() {
		_ = f.write(frameInEnd, nil) // or the lab has ended, and await knows
		_ = f.conn.SetReadDeadline(time.Now().Add(requestTimeout))
	})
	defer stop()
	a, err := f.await(context.WithoutCancel(ctx), w, nil)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return CaptureStats{}, fmt.Errorf("capture: %w", err)
	}
	if a.Capture == nil {
		return CaptureStats{}, nil
	}
	return *a.Capture, nil
}

// open connects and sends a request. The connection ends with ctx, or when done is called.
func (c *Client) open(ctx context.Context, req request) (f *frames, done func(), err error) {
	conn, err := dialSocket(c.dir)
	if errors.Is(err, errStale) && c.info.Name != "" {
		return nil, nil, fmt.Errorf("%w: %q has ended", ErrNotRunning, c.info.Name)
	}
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // reads and writes end
	f = newFrames(conn)
	done = func() {
		stop()
		_ = conn.Close() // all is said
	}
	req.Version = protocolVersion
	if err := f.writeJSON(frameRequest, req); err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

// ask is a request with an answer and nothing else.
func (c *Client) ask(ctx context.Context, req request) (answer, error) {
	f, done, err := c.open(ctx, req)
	if err != nil {
		return answer{}, err
	}
	defer done()
	a, err := f.await(ctx, nil, nil)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	return a, err
}

// await passes output on until the answer comes.
func (f *frames) await(ctx context.Context, out, errOut io.Writer) (answer, error) {
	for {
		kind, body, err := f.read()
		switch {
		case err != nil && ctx.Err() != nil:
			return answer{}, ctx.Err()
		case hungUp(err):
			return answer{}, fmt.Errorf("%w: it ended meanwhile", ErrNotRunning)
		case err != nil:
			return answer{}, err
		}
		switch kind {
		case frameAnswer:
			var a answer
			if err := json.Unmarshal(body, &a); err != nil {
				return answer{}, fmt.Errorf("the lab's answer cannot be read: %w", err)
			}
			return a, nil
		case frameOut:
			err = writeTo(out, body)
		case frameErr:
			err = writeTo(errOut, body)
		case frameStory:
			err = writeTo(f.story, body)
		}
		if err != nil {
			return answer{}, err
		}
	}
}

// hungUp tells whether an error says that the other side is gone.
func hungUp(err error) bool {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

func writeTo(w io.Writer, b []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(b)
	return err
}

// sendInput sends what it reads until the end of either side.
func (f *frames) sendInput(in io.Reader) {
	b := make([]byte, chunkSize)
	for {
		n, err := in.Read(b)
		if n > 0 && f.write(frameIn, b[:n]) != nil {
			return
		}
		if err != nil {
			_ = f.write(frameInEnd, nil) // or nobody waits for it
			return
		}
	}
}
