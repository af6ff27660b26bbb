package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netsim-lab/netsim/docker/shell"
	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab/explain"
)

// Explain runs a command in a node as Node.Exec and Node.Run do, and tells what happened to every packet that it caused:
// those of its sockets, the answers to them, and those that programs sent because of them. The story is there even if the
// command failed or ctx ended; it is nil only if there is no such node,
// or that is a host of the kernel.
func (l *Lab) Explain(ctx context.Context, req ExecRequest, stdio shell.Stdio) (story *explain.Story, exit int, err error) {
	node, err := l.Lookup(req.Node)
	if err != nil {
		return nil, 1, err
	}
	if node.kernel() != nil {
		return nil, 1, fmt.Errorf("packets of %s, a host of the kernel, cannot be followed: explain a command that goes there from another node, or capture at the other end of its cable", node.name)
	}
	r := fabric.NewRecorder()
	defer r.Stop()
	exit, err = node.do(fabric.Follow(ctx, r), req, stdio)
	story = l.tell(r, explain.Config{Node: node.name, Command: req.command(), Exit: exit})
	return story, exit, err
}

// tell ends a recording once its last packets have arrived, and makes its story.
func (l *Lab) tell(r *fabric.Recorder, c explain.Config) *explain.Story {
	ctx, cancel := l.within(context.Background())
	defer cancel()
	l.settle(ctx)
	r.Stop()
	c.Name = l.placeName()
	packets, left := r.Packets()
	return explain.Tell(c, packets, left)
}

// command is the command as it was typed, more or less.
func (r *ExecRequest) command() string {
	switch {
	case r.Shell:
		return "sh"
	case r.Line != "":
		return strings.TrimSpace(r.Line)
	}
	return strings.Join(r.Argv, " ")
}

// do runs what a request asks for.
func (n *Node) do(ctx context.Context, req ExecRequest, stdio shell.Stdio) (exit int, err error) {
	switch {
	case req.Shell:
		return n.Shell(ctx, stdio)
	case req.Line != "":
		return n.Run(ctx, req.Line, stdio)
	}
	return n.Exec(ctx, req.Argv, stdio)
}

// placeName returns what gives the places of events the names of nodes and networks: host-a/dog-web.1 for the namespace of
// that task's container, host-a/dognet/vxlan0 for a device of that network's.
func (l *Lab) placeName() func(string) string {
	names := map[string]string{}
	for _, n := range l.Nodes() {
		names[n.ns.Name()] = n.FullName()
		if eng := l.engine(n.name); eng != nil && n.machine != nil {
			for _, net := range eng.Controller().Networks() {
				if ns := net.Sandbox(); ns != nil {
					names[ns.Name()] = n.name + "/" + net.Name()
				}
			}
		}
	}
	return func(place string) string {
		for i := len(place); i > 0; i = strings.LastIndexByte(place[:i], '/') {
			if name, ok := names[place[:i]]; ok {
				return name + place[i:]
			}
		}
		return place
	}
}

// followed runs the step's command and judges the way of its packets.
func (p *stepPlayer) followed(ctx context.Context, a *attempt, node *Node) {
	r := fabric.NewRecorder()
	defer r.Stop()
	p.command(fabric.Follow(ctx, r), a, node)
	a.story = p.lab.tell(r, explain.Config{Node: node.name, Command: strings.TrimSpace(p.step.Run), Exit: a.exit})
	var places []string
	for _, ref := range p.step.Expect.PathIncludes {
		places = append(places, ref.Name)
	}
	if !a.story.Passes(places) {
		a.fail("expected a packet to pass %s, got %s", strings.Join(places, ", "), waysText(a.story.Ways()))
	}
}

// follow has the packets of a try followed, if the lab wants stories and the step does not have them followed itself.
func (p *stepPlayer) follow(ctx context.Context, a *attempt, node *Node) (followed context.Context, stop func()) {
	if !p.lab.cfg.Stories || len(p.step.Expect.PathIncludes) > 0 || node.kernel() != nil {
		return ctx, func() {}
	}
	a.followed = fabric.NewRecorder()
	return fabric.Follow(ctx, a.followed), a.followed.Stop
}

// explain tells the story of a try that failed and was followed.
func (p *stepPlayer) explain(a *attempt) {
	if a.followed == nil || len(a.reasons) == 0 {
		return
	}
	a.story = p.lab.tell(a.followed, explain.Config{Node: p.step.On.Text, Command: strings.TrimSpace(p.step.Run), Exit: a.exit})
}

// waysMax is how many ways a message shows.
const waysMax = 4

func waysText(ways [][]string) string {
	if len(ways) == 0 {
		return "no packet"
	}
	var all []string
	for _, way := range ways[:min(len(ways), waysMax)] {
		all = append(all, strings.Join(way, " > "))
	}
	if n := len(ways) - waysMax; n > 0 {
		all = append(all, fmt.Sprintf("and %d ways more", n))
	}
	return strings.Join(all, "\n  ")
}

// serveExplain is serveExec with a story, which comes in frames of its own: it may be large.
func (l *Lab) serveExplain(ctx context.Context, f *frames, req ExecRequest) answer {
	var story *explain.Story
	a := l.serveCommand(ctx, f, req, func(ctx context.Context, stdio shell.Stdio) (exit int, err error) {
		story, exit, err = l.Explain(ctx, req, stdio)
		return exit, err
	})
	if story == nil {
		return a
	}
	b, err := json.Marshal(story)
	if err == nil {
		_, err = f.stream(frameStory).Write(b)
	}
	if err != nil && a.Error == "" {
		a.Error = "the story cannot be sent: " + err.Error()
	}
	return a
}

// storyTimeout is how long a story may take to come once its command was told to end.
const storyTimeout = 5 * time.Second

// Explain runs a command in a node of the lab as Exec does, and returns what happened to every packet that it caused; see
// Lab.Explain. The story is there even if the command failed or ctx ended first.
func (c *Client) Explain(ctx context.Context, req ExecRequest, stdio shell.Stdio) (story *explain.Story, exit int, err error) {
	req.Input = stdio.In != nil
	f, done, err := c.open(context.WithoutCancel(ctx), request{Op: opExplain, Exec: &req})
	if err != nil {
		return nil, 1, fmt.Errorf("explain %s: %w", req.Node, err)
	}
	defer done()
	stop := context.AfterFunc(ctx, func() {
		_ = f.conn.SetDeadline(time.Now().Add(storyTimeout))
		_ = f.write(frameStop, nil) // or the lab has ended, and await knows
	})
	defer stop()
	if stdio.In != nil {
		go f.sendInput(stdio.In)
	}
	var text bytes.Buffer
	f.story = &text
	a, err := f.await(context.WithoutCancel(ctx), stdio.Out, stdio.Err)
	if err != nil {
		return nil, 1, fmt.Errorf("explain %s: %w", req.Node, err)
	}
	if text.Len() > 0 {
		story = new(explain.Story)
		if err := json.Unmarshal(text.Bytes(), story); err != nil {
			return nil, a.Exit, fmt.Errorf("explain %s: the story cannot be read: %w", req.Node, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return story, a.Exit, ctx.Err()
	case a.Error != "":
		return story, a.Exit, errors.New(a.Error)
	}
	return story, a.Exit, nil
}
