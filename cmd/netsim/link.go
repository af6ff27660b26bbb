package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/fabric"
	"github.com/netsim-lab/netsim/lab"
	"github.com/netsim-lab/netsim/lab/topology"
)

// linkFlags are what link was told.
type linkFlags struct {
	down, up, reset, overtake bool
	delay, jitter             time.Duration
	loss, burst, corrupt      string
	duplicate, reorder, rate  string
	mtu, queue                int
	lab                       string
	reverse, both, asJSON     bool
	partition                 []string
	heal                      bool
}

func linkCommand() *cobra.Command {
	var given linkFlags
	cmd := &cobra.Command{
		Use:   "link A B | --partition HOST,... | --heal",
		Short: "Show or change what a link of a running lab does to frames",
		Long: `Show or change what the link between two hosts, routers or switches does to frames. What is given is merged with what
was set before, here or in the topology; the rest stays, and 0 takes a value back. It holds for what A sends to B; with
--reverse for what B sends to A, with --both for both directions. The state of both is printed after.

Each wire frame must fit (--mtu), waits for its turn (--rate, --queue), may be lost (--loss, --burst), corrupted or
duplicated, and takes its time (--delay, --jitter, --reorder). A share is written as 1%, a rate as 100mbit. --burst P,R
loses all while the link is bad, which it becomes with share P of the frames and ceases to be with share R. Where frames
are lost, corrupted, duplicated or reordered, or the link is slow, TCP of the hosts behind it sends wire frames one by
one instead of trains, on connections that are opened from then on; "gso: on" of a host in the topology prevents that.

--partition HOST,... parts hosts from all others: what one sends the other is dropped where it arrives, by whatever way it
comes, and routers and switches are left alone. Given several times it names the groups that are parted from each other; who is
in none hears all. Partitions add up until --heal ends them all. Who is parted from whom is printed, with --json as an array of
[{"a", "b"}].

With --json it is one array, durations in seconds, rate in bits per second, shares from 0 to 1:
  [{"from", "to", "up", "delay", "jitter", "overtake", "loss", "burst": {"p", "r", "good", "bad"}, "duplicate",
    "reorder", "corrupt", "rate", "queue", "mtu"}]`,
		Example: `  netsim link host-a tor --delay 10ms --jitter 2ms --loss 1% --both
  netsim link host-a tor --rate 100mbit
  netsim link host-a tor --down --both
  netsim link host-a tor --reset --both     # a perfect cable again
  netsim link host-a tor --json
  netsim link --partition host-a,host-b                        # from all other hosts
  netsim link --partition host-a --partition host-b,host-c     # two groups
  netsim link --heal`,
		Args:              given.twoNodes,
		ValidArgsFunction: completeLink,
		RunE: func(cmd *cobra.Command, args []string) error {
			if given.parts() {
				return given.part(cmd.Context(), cmd.OutOrStdout())
			}
			r := lab.LinkRequest{From: args[0], To: args[1], Both: given.both}
			if given.reverse {
				r.From, r.To = r.To, r.From
			}
			var err error
			if r.Change, err = given.change(cmd.Flags().Changed); err != nil {
				return err
			}
			return given.run(cmd.Context(), r, cmd.OutOrStdout())
		},
	}
	given.add(cmd)
	return cmd
}

// twoNodes wants both ends of a link, unless it is about partitions.
func (g *linkFlags) twoNodes(cmd *cobra.Command, args []string) error {
	if g.parts() {
		if len(args) > 0 {
			return usagef("--partition and --heal are for hosts, not for the link of %s", args[0])
		}
		return nil
	}
	if len(args) != 2 {
		return fmt.Errorf("two nodes are needed, A and B, not %d", len(args))
	}
	return nil
}

// add makes the flags.
func (g *linkFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&g.delay, "delay", 0, "how long a frame is under way: 10ms")
	f.DurationVar(&g.jitter, "jitter", 0, "by how much the delay may be more or less: 2ms")
	f.BoolVar(&g.overtake, "overtake", false, "let frames overtake each other by jitter")
	f.StringVar(&g.loss, "loss", "", "share of the frames that is lost: 1%")
	f.StringVar(&g.burst, "burst", "", "losses in bursts, share turning bad and share turning good: 1%,25%")
	f.StringVar(&g.duplicate, "duplicate", "", "share of the frames that arrive twice: 1%")
	f.StringVar(&g.reorder, "reorder", "", "share of the frames that are out of order: 1%")
	f.StringVar(&g.corrupt, "corrupt", "", "share of the frames of which one bit is turned: 1%")
	f.StringVar(&g.rate, "rate", "", "bits per second: 100mbit; 0: no limit")
	f.IntVar(&g.queue, "queue", 0, "frames that wait for the rate; 0: 1000")
	f.IntVar(&g.mtu, "mtu", 0, "longest packet that passes, which the ends are not told; 0: any that they send")
	f.BoolVar(&g.down, "down", false, "drop everything")
	f.BoolVar(&g.up, "up", false, "drop everything no longer")
	f.BoolVar(&g.reset, "reset", false, "first take back all that was set")
	f.BoolVar(&g.reverse, "reverse", false, "what B sends to A")
	f.BoolVar(&g.both, "both", false, "both directions")
	f.StringArrayVar(&g.partition, "partition", nil, "hosts, host-a,host-b, to part from all others; several times: from each other")
	f.BoolVar(&g.heal, "heal", false, "end all partitions")
	f.BoolVar(&g.asJSON, "json", false, "print one JSON array")
	addLabFlag(cmd, &g.lab)
}

// change returns what was given.
func (g *linkFlags) change(given func(flag string) bool) (lab.LinkChange, error) {
	c := lab.LinkChange{Reset: g.reset}
	switch {
	case g.down && g.up:
		return c, usagef("--down and --up exclude each other")
	case g.reverse && g.both:
		return c, usagef("--reverse and --both exclude each other")
	}
	if g.down || g.up {
		c.Down = &g.down
	}
	note(&c.Delay, &g.delay, given("delay"))
	note(&c.Jitter, &g.jitter, given("jitter"))
	note(&c.Overtake, &g.overtake, given("overtake"))
	note(&c.QueueFrames, &g.queue, given("queue"))
	note(&c.MTU, &g.mtu, given("mtu"))
	for _, s := range []struct {
		flag, text string
		to         **float64
	}{
		{"loss", g.loss, &c.Loss}, {"duplicate", g.duplicate, &c.Duplicate},
		{"reorder", g.reorder, &c.Reorder}, {"corrupt", g.corrupt, &c.Corrupt},
	} {
		if !given(s.flag) {
			continue
		}
		share, err := parseShare(s.flag, s.text)
		if err != nil {
			return c, err
		}
		*s.to = &share
	}
	if given("burst") {
		b, err := parseBurst(g.burst)
		if err != nil {
			return c, err
		}
		c.Burst = &b
	}
	if given("rate") {
		var rate uint64
		var err error
		if g.rate != "0" {
			rate, err = topology.ParseRate(g.rate)
		}
		if err != nil {
			return c, usagef("--rate %v", err)
		}
		c.Rate = &rate
	}
	return c, nil
}

func note[T any](to **T, value *T, given bool) {
	if given {
		*to = value
	}
}

func parseShare(flag, text string) (float64, error) {
	if text == "0" {
		return 0, nil
	}
	share, err := topology.ParseShare(text)
	if err != nil {
		return 0, usagef("--%s %v", flag, err)
	}
	return share, nil
}

func parseBurst(text string) (b fabric.Burst, err error) {
	if text == "0" {
		return b, nil
	}
	p, r, two := strings.Cut(text, ",")
	if !two {
		return b, usagef("--burst cannot be %q: write the share turning bad and the share turning good, like 1%%,25%%", text)
	}
	if b.P, err = parseShare("burst", p); err != nil {
		return b, err
	}
	b.R, err = parseShare("burst", r)
	return b, err
}

// run changes the link and prints its state.
func (g *linkFlags) run(ctx context.Context, r lab.LinkRequest, w io.Writer) error {
	c, err := lab.Await(ctx, g.lab, startingUp)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	states, err := c.Link(ctx, r)
	if err != nil {
		return err
	}
	if g.asJSON {
		all := []linkState{}
		for _, s := range states {
			all = append(all, stateOf(s))
		}
		return printJSON(w, all)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range states {
		fmt.Fprintf(t, "%s -> %s\t%s\n", s.From, s.To, stateText(s)) //nolint:errcheck // Flush tells
	}
	return t.Flush()
}

// linkState is one direction of a link for other programs.
type linkState struct {
	From      string     `json:"from"`
	To        string     `json:"to"`
	Up        bool       `json:"up"`
	Delay     float64    `json:"delay"`
	Jitter    float64    `json:"jitter"`
	Overtake  bool       `json:"overtake"`
	Loss      float64    `json:"loss"`
	Burst     *linkBurst `json:"burst,omitempty"`
	Duplicate float64    `json:"duplicate"`
	Reorder   float64    `json:"reorder"`
	Corrupt   float64    `json:"corrupt"`
	Rate      uint64     `json:"rate"`
	Queue     int        `json:"queue"`
	MTU       int        `json:"mtu"`
}

type linkBurst struct {
	P    float64 `json:"p"`
	R    float64 `json:"r"`
	Good float64 `json:"good"`
	Bad  float64 `json:"bad"`
}

func stateOf(s lab.LinkState) linkState {
	out := linkState{
		From: s.From, To: s.To, Up: !s.Down, Delay: s.Delay.Seconds(), Jitter: s.Jitter.Seconds(), Overtake: s.Overtake, Loss: s.Loss,
		Duplicate: s.Duplicate, Reorder: s.Reorder, Corrupt: s.Corrupt, Rate: s.Rate, Queue: s.QueueFrames, MTU: s.MTU,
	}
	if s.Burst != (fabric.Burst{}) {
		b := linkBurst(s.Burst)
		out.Burst = &b
	}
	return out
}

// stateText is one direction of a link in the words of the flags.
func stateText(s lab.LinkState) string {
	words := []string{"up"}
	if s.Down {
		words[0] = "down"
	}
	add := func(is bool, name, value string) {
		if is {
			words = append(words, strings.TrimSuffix(name+" "+value, " "))
		}
	}
	add(s.Delay > 0, "delay", s.Delay.String())
	add(s.Jitter > 0, "jitter", s.Jitter.String())
	add(s.Overtake, "overtake", "")
	add(s.Loss > 0, "loss", percent(s.Loss))
	if b := s.Burst; b.P > 0 || b.Good > 0 {
		add(true, "burst", percent(b.P)+","+percent(b.R))
		add(b.Good > 0, "good", percent(b.Good))
		add(b.Bad > 0, "bad", percent(b.Bad))
	}
	add(s.Duplicate > 0, "duplicate", percent(s.Duplicate))
	add(s.Reorder > 0, "reorder", percent(s.Reorder))
	add(s.Corrupt > 0, "corrupt", percent(s.Corrupt))
	add(s.Rate > 0, "rate", rateText(s.Rate))
	add(s.QueueFrames > 0, "queue", strconv.Itoa(s.QueueFrames))
	add(s.MTU > 0, "mtu", strconv.Itoa(s.MTU))
	return strings.Join(words, " ")
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'g', 6, 64) + "%" }

// rateText writes a rate as the flags take it, in the largest unit that divides it.
func rateText(bits uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1e12, "tbit"}, {1e9, "gbit"}, {1e6, "mbit"}, {1e3, "kbit"}} {
		if bits%u.size == 0 {
			return strconv.FormatUint(bits/u.size, 10) + u.name
		}
	}
	return strconv.FormatUint(bits, 10) + "bit"
}

// completeLink offers the machines of the running lab for both ends.
func completeLink(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeMachine(cmd, nil, word)
}
