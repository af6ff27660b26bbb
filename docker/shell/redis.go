package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/netsim-lab/netsim/docker/image"
)

// runRedis is redis-cli: a command, or those of the standard input, one a line.
func runRedis(ctx context.Context, c *Call) int {
	opts, rest, err := getopt(c.Args[1:], "+h: p: n: a: raw no-raw c u:")
	if err != nil {
		return c.badOption(err)
	}
	host, port := "127.0.0.1", "6379"
	if h, ok := opts.last("h"); ok {
		host = h
	}
	if p, ok := opts.last("p"); ok {
		port = p
	}
	conn, err := c.dialRedis(ctx, host, port)
	if err != nil {
		if ctx.Err() != nil {
			return statusInterrupted
		}
		return c.say1(fmt.Sprintf("Could not connect to Redis at %s:%s: %s", host, port, connectText(err)), 1)
	}
	client := image.NewRedisClient(conn)
	defer client.Close() //nolint:errcheck // nothing waits
	r := &redisCLI{Call: c, client: client, format: image.FormatRaw}
	if c.TTY || opts.has("no-raw") {
		r.format = image.FormatReply
	}
	for name, verb := range map[string]string{"a": "AUTH", "n": "SELECT"} {
		if v, ok := opts.last(name); ok {
			if _, err := client.Do(ctx, verb, v); err != nil {
				return c.say1("Error: "+err.Error(), 1)
			}
		}
	}
	if len(rest) > 0 {
		return r.do(ctx, rest)
	}
	return r.interactive(ctx, host+":"+port)
}

// errUnknownName is a failed lookup in the words of the C library.
var errUnknownName = errors.New("Name or service not known") //nolint:staticcheck // it is printed as it is

func (c *Call) dialRedis(ctx context.Context, host, port string) (net.Conn, error) {
	addrs, err := c.Sys.lookupAll(ctx, host)
	if err != nil {
		return nil, errUnknownName
	}
	return dialAny(ctx, c.Sys, addrs, port, func(netip.Addr) {})
}

// redisCLI is a connection to a server.
type redisCLI struct {
	*Call
	client *image.RedisClient
	format func(image.Reply) string
}

func (r *redisCLI) do(ctx context.Context, args []string) int {
	reply, err := r.client.Do(ctx, args...)
	if err != nil {
		if ctx.Err() != nil {
			return statusInterrupted
		}
		return r.say1("Error: Server closed the connection", 1)
	}
	r.Printf("%s", r.format(reply))
	if reply.Err() != nil && !r.TTY {
		return 1
	}
	return 0
}

// interactive reads commands from the standard input.
func (r *redisCLI) interactive(ctx context.Context, prompt string) int {
	code := 0
	in, stop := readerFor(ctx, r.In)
	defer stop()
	ask := func() {
		if r.TTY {
			r.Printf("%s> ", prompt)
		}
	}
	ask()
	err := lines(in, func(line string) error {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "exit" || words[0] == "quit":
			return errStop
		default:
			if code = r.do(ctx, words); ctx.Err() != nil {
				return errStop
			}
		}
		ask()
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return r.say1("Error: "+errnoText(err), 1)
	}
	return code
}
