package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/netsim-lab/netsim/lab"
)

// captureOptions say where a capture goes and when it ends.
type captureOptions struct {
	lab      string
	file     string
	count    uint64
	duration time.Duration
	last     time.Duration
	keys     bool
}

func captureCommand() *cobra.Command {
	var o captureOptions
	cmd := &cobra.Command{
		Use:   "capture [NODE[:INTERFACE]...] -w FILE|-",
		Short: "Capture packets of a running lab for Wireshark",
		Long: `Write the packets that pass interfaces of a running lab as pcapng: any interfaces of any nodes into one file, in the
order of time, each with a name of its own (host-a:eth0). A NODE without an interface stands for all of its interfaces
but lo. A packet that is dropped there is written once more, with the reason as its comment.

It ends with Ctrl-C, after --count packets, after --duration, with the lab, or when nobody reads the pipe any more, and
tells on standard error how many packets there were. If FILE is a named pipe, it waits for the next reader instead, and
begins anew: Wireshark may stop and start as often as it likes.

With --last 10s it writes what passed in the last 10 seconds instead, and ends: a lab remembers the packets at the ends of
its cables and of its containers, as many as fit into 4 MiB, and of large ones the headers. Without a NODE it is all of
them, also of containers that are gone. netsim run --save-failed DIR does that for each step that fails.

With --keys it writes the keys of encrypted overlays into the directory FILE.keys, which tshark and Wireshark take for their
configuration; they then show what the ESP packets hold.

` + nodeHelp,
		Example: `  netsim capture host-a:eth0 host-b:eth0 -w - | tshark -r -
  netsim capture host-a dog-web.1:eth0 -w - | wireshark -k -i -
  netsim capture host-a:docker0 -w docker0.pcapng --duration 10s
  netsim capture client -w syn.pcapng -c 3
  netsim capture --last 10s -w what-happened.pcapng
  netsim capture host-a:eth0 --keys -w esp.pcapng   # and then: WIRESHARK_CONFIG_DIR=esp.pcapng.keys tshark -r esp.pcapng
  netsim capture host-a -w drops.pcapng   # and then: tshark -r drops.pcapng -Y 'frame.comment contains "dropped"'`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("last") {
				return nil
			}
			return atLeast(1, "NODE")(cmd, args)
		},
		ValidArgsFunction: completePlace,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.file == "" {
				return usagef("-w is missing: name a file, or - for standard output")
			}
			if f := cmd.Flags(); f.Changed("last") && (o.last <= 0 || f.Changed("count") || f.Changed("duration")) {
				return usagef("--last takes a time like 10s, and neither --count nor --duration")
			}
			if f := cmd.Flags(); f.Changed("duration") && o.duration <= 0 {
				return usagef("--duration takes a time like 10s, not %v", o.duration)
			}
			if o.keys && o.file == stdinArg {
				return usagef("--keys needs a file: the keys are written beside it, so name one with -w")
			}
			if o.file == stdinArg && isTerminal(cmd.OutOrStdout()) {
				return usagef("a capture is not for reading on a terminal: send it to a file, or to tshark -r -")
			}
			return capture(cmd, args, o)
		},
	}
	addLabFlag(cmd, &o.lab)
	f := cmd.Flags()
	f.StringVarP(&o.file, "write", "w", "", "the file, which is replaced; - for standard output")
	f.Uint64VarP(&o.count, "count", "c", 0, "end after so many packets")
	f.DurationVar(&o.duration, "duration", 0, "end after that time")
	f.DurationVar(&o.last, "last", 0, "write what passed in that time before now, and end")
	f.BoolVar(&o.keys, "keys", false, "write the keys of encrypted overlays into FILE.keys, for tshark and Wireshark")
	return cmd
}

// capture captures until there is enough, and tells how much it was.
func capture(cmd *cobra.Command, places []string, o captureOptions) error {
	ctx := cmd.Context()
	c, err := lab.Await(ctx, o.lab, startingUp)
	if err != nil {
		return err
	}
	if o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.duration)
		defer cancel()
	}
	req := lab.CaptureRequest{Places: places, Count: o.count, Last: o.last, Keys: o.keys}
	for {
		w, again, err := openCapture(ctx, cmd.OutOrStdout(), o.file)
		if err != nil || w == nil {
			return err
		}
		stats, left, err := captureTo(ctx, c, req, w)
		if err == nil && o.keys {
			err = writeKeys(cmd.ErrOrStderr(), o.file, stats.Keys)
		}
		switch {
		case err != nil:
			return err
		case left && again && o.last == 0 && ctx.Err() == nil:
			continue
		case !left:
			fmt.Fprintf(cmd.ErrOrStderr(), "%s captured, %d dropped for want of room\n", packets(stats.Written), stats.Dropped) //nolint:errcheck // there is nobody else to tell
		}
		return nil
	}
}

// captureTo captures to w and closes it. left tells that nobody reads w any more.
func captureTo(ctx context.Context, c *lab.Client, req lab.CaptureRequest, w io.WriteCloser) (stats lab.CaptureStats, left bool, err error) {
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	gone := make(chan bool, 1)
	go func() {
		left := waitReaderGone(watched, w)
		gone <- left
		if left {
			cancel()
		}
	}()
	stats, err = c.Capture(watched, req, w)
	cancel()
	left = <-gone || errors.Is(err, syscall.EPIPE)
	closed := w.Close()
	if left {
		return stats, true, nil
	}
	return stats, false, errors.Join(err, closed)
}

// waitReaderGone waits until nobody reads w any more; false if ctx ended before. The next write would tell, too, but a
// lab may be quiet for long.
func waitReaderGone(ctx context.Context, w io.Writer) bool {
	if open, ok := w.(leaveOpen); ok {
		w = open.Writer
	}
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	for !readerGone(f) {
		select {
		case <-time.After(pipePause):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func packets(n uint64) string {
	if n == 1 {
		return "1 packet"
	}
	return fmt.Sprintf("%d packets", n)
}

// openCapture opens what a capture goes to; a named pipe, for which again is true, when it has a reader. It returns
// nothing if ctx ends before.
func openCapture(ctx context.Context, stdout io.Writer, file string) (w io.WriteCloser, again bool, err error) {
	if file == stdinArg {
		return leaveOpen{stdout}, false, nil
	}
	if fi, err := os.Stat(file); err == nil && fi.Mode()&os.ModeNamedPipe != 0 {
		w, err := openPipe(ctx, file)
		if w == nil || err != nil {
			return nil, false, err
		}
		return w, true, nil
	}
	return &lateFile{name: file}, false, nil
}

// lateFile is a file that is made, or replaced, when there is something to write: not by a mistake in what to capture.
type lateFile struct {
	name string
	f    *os.File
}

// Write implements io.Writer.
func (l *lateFile) Write(b []byte) (n int, err error) {
	if l.f == nil {
		if l.f, err = os.Create(l.name); err != nil {
			return 0, err
		}
	}
	return l.f.Write(b)
}

// Close closes the file, if it was made.
func (l *lateFile) Close() error {
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}

// pipePause is the time between two looks at whether a pipe has a reader.
const pipePause = 50 * time.Millisecond

// openPipe opens a named pipe once it has a reader; nil if ctx ends before. It does not wait in the system call, which
// nothing would end.
func openPipe(ctx context.Context, file string) (*os.File, error) {
	for {
		f, err := os.OpenFile(file, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.ENXIO) {
			return nil, fmt.Errorf("capture: %w", err)
		}
		select {
		case <-time.After(pipePause):
		case <-ctx.Done():
			return nil, nil
		}
	}
}

// leaveOpen is a writer that is not to be closed.
type leaveOpen struct{ io.Writer }

// Close does nothing.
func (leaveOpen) Close() error { return nil }

// completePlace offers nodes, and behind a colon their interfaces.
func completePlace(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	names, directive := completeNode(cmd, nil, word)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := runningLabs(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	for _, r := range all {
		for _, n := range r.Nodes {
			for _, i := range n.Ifaces {
				names = append(names, n.Name+":"+i.Name)
			}
		}
	}
	return names, directive
}
