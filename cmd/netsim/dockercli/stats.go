package dockercli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/container"
	"github.com/docker/cli/cli/streams"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/client"
	"github.com/spf13/cobra"

	dockercontainer "github.com/docker/docker/api/types/container"
)

// What docker writes around a picture of docker stats: to the top left, behind each line, and behind the last.
const (
	pictureTop  = "\033[H"
	pictureLine = " \033[K\n"
	pictureEnd  = "\033[J"
)

// statsLimit is how long the engine's answer about one container may be, in bytes.
const statsLimit = 1 << 20

// stats is docker stats. Docker's own, once it has begun to follow containers, ends with its process alone: here each of
// its pictures is one of docker stats --no-stream, which takes half a second.
func (s *session) stats(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	opts := container.StatsOptions{Containers: args, NoStream: true}
	var once bool
	for name, to := range map[string]*bool{"all": &opts.All, "no-trunc": &opts.NoTrunc, "no-stream": &once} {
		on, err := flags.GetBool(name)
		if err != nil {
			return err
		}
		*to = on
	}
	var err error
	if opts.Format, err = flags.GetString("format"); err != nil {
		return err
	}
	for {
		text, err := s.picture(cmd.Context(), opts)
		if s.interrupted() {
			return nil
		}
		if err != nil {
			return err
		}
		if once {
			_, err = io.WriteString(s.cli.out, text)
			return err
		}
		moving := pictureTop + strings.ReplaceAll(text, "\n", pictureLine) + pictureEnd
		if _, err := io.WriteString(s.cli.out, moving); err != nil {
			return fmt.Errorf("write the figures of the containers: %w", err)
		}
	}
}

// picture is what docker stats shows at one time.
func (s *session) picture(ctx context.Context, opts container.StatsOptions) (string, error) {
	var text bytes.Buffer
	err := container.RunStats(ctx, statsCLI{s.cli, streams.NewOut(&text)}, &opts)
	return text.String(), err
}

// interrupted tells whether the user does not want the call to go on.
func (s *session) interrupted() bool {
	select {
	case <-s.unwanted:
		return true
	default:
		return false
	}
}

// statsCLI are the surroundings of one picture.
type statsCLI struct {
	command.Cli
	out *streams.Out
}

// Out implements command.Cli.
func (c statsCLI) Out() *streams.Out { return c.out }

// Client implements command.Cli.
func (c statsCLI) Client() client.APIClient { return statsClient{c.Cli.Client()} }

// statsClient gives whole answers, at once: what docker leaves behind that reads one ends.
type statsClient struct{ client.APIClient }

// ContainerStats implements client.ContainerAPIClient.
func (c statsClient) ContainerStats(ctx context.Context, id string, stream bool) (dockercontainer.StatsResponseReader, error) {
	r, err := c.APIClient.ContainerStats(ctx, id, stream)
	if err != nil {
		return r, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, statsLimit))
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return r, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, nil
}

// Events implements client.SystemAPIClient: one picture does not ask what happens after it.
func (statsClient) Events(context.Context, events.ListOptions) (<-chan events.Message, <-chan error) {
	return nil, nil
}
