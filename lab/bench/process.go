package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a child, seen from its parent.
type process struct {
	cmd    *exec.Cmd
	in     io.Closer
	out    *json.Decoder
	errors strings.Builder
}

// startChild starts this program again for a task, in a network namespace of the kernel or in none ("").
func startChild(ctx context.Context, namespace string, t task) (*process, error) {
	if !served.Load() {
		return nil, fmt.Errorf("%w: this program does not serve as the second process of a measurement: its main must call bench.Child", errSkip)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSkip, err)
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	args := []string{self}
	if namespace != "" {
		args = []string{"ip", "netns", "exec", namespace, self}
	}
	p := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stderr = &p.errors
	p.cmd.WaitDelay = time.Second
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return p, nil
}

// message waits for what the child says next.
func (p *process) message() (message, error) {
	var m message
	err := p.out.Decode(&m)
	if err == nil && m.Error != "" {
		err = errors.New(m.Error)
	}
	if err != nil {
		p.stop()
		return m, fmt.Errorf("second process: %w %s", err, strings.TrimSpace(p.errors.String()))
	}
	return m, nil
}

// stop ends the child; it may have ended before.
func (p *process) stop() {
	p.in.Close()                                                           //nolint:errcheck // it has ended
	late := time.AfterFunc(2*time.Second, func() { p.cmd.Process.Kill() }) //nolint:errcheck // likewise
	defer late.Stop()
	p.cmd.Wait() //nolint:errcheck // what it had to say it said
}

// serve starts a child that serves, and waits until it does.
func serve(ctx context.Context, namespace string, t task) (*process, message, error) {
	p, err := startChild(ctx, namespace, t)
	if err != nil {
		return nil, message{}, err
	}
	m, err := p.message()
	if err == nil && !m.Ready {
		p.stop()
		err = fmt.Errorf("second process: it did not say that it serves")
	}
	return p, m, err
}

// measureIn runs a load generator as a child and returns what it measured.
func measureIn(ctx context.Context, namespace string, t task) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, t.Duration+30*time.Second)
	defer cancel()
	p, err := startChild(ctx, namespace, t)
	if err != nil {
		return 0, err
	}
	m, err := p.message()
	if err != nil {
		return 0, err
	}
	p.stop()
	if m.Figures == nil {
		return 0, nil
	}
	return m.Figures.Value, nil
}
