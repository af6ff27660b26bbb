package dockercli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/config/configfile"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/cli/cli/streams"
	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// defaultHost is where the engine of the host listens.
const defaultHost = "unix:///var/run/docker.sock"

// initTimeout is how long the engine has to say which version it speaks, as in docker.
const initTimeout = 2 * time.Second

// dockerCLI is what docker's commands ask for their surroundings, in place of docker's own command.DockerCli, which looks
// at the files and the environment of the process.
type dockerCLI struct {
	session  *session
	ctx      context.Context
	in       *streams.In
	out, err *streams.Out
	config   *configfile.ConfigFile

	once   sync.Once
	client client.APIClient
	info   command.ServerInfo
}

var _ command.Cli = (*dockerCLI)(nil)

func emptyConfig() *configfile.ConfigFile { return configfile.New("") }

// In returns the standard input.
func (d *dockerCLI) In() *streams.In { return d.in }

// Out returns the standard output.
func (d *dockerCLI) Out() *streams.Out { return d.out }

// Err returns the standard error.
func (d *dockerCLI) Err() *streams.Out { return d.err }

// SetIn replaces the standard input.
func (d *dockerCLI) SetIn(in *streams.In) { d.in = in }

// Apply is for options of docker's own type, and does nothing.
func (d *dockerCLI) Apply(...command.CLIOption) error { return nil }

// ConfigFile returns an empty configuration that has no file.
func (d *dockerCLI) ConfigFile() *configfile.ConfigFile { return d.config }

// Client returns the client of the engine that the command line names.
func (d *dockerCLI) Client() client.APIClient {
	d.initialize()
	return d.client
}

// ServerInfo returns what the engine says of itself.
func (d *dockerCLI) ServerInfo() command.ServerInfo {
	d.initialize()
	return d.info
}

// CurrentVersion returns the version of the API that is spoken.
func (d *dockerCLI) CurrentVersion() string {
	d.initialize()
	return d.client.ClientVersion()
}

// BuildKitEnabled tells whether images are built with BuildKit.
func (d *dockerCLI) BuildKitEnabled() (bool, error) {
	return d.ServerInfo().BuildkitVersion == build.BuilderBuildKit, nil
}

// CurrentContext returns the name of the context, of which there is one.
func (d *dockerCLI) CurrentContext() string { return command.DefaultContextName }

// ContextStore returns a store that holds the default context alone.
func (d *dockerCLI) ContextStore() store.Store {
	return &command.ContextStoreWithDefault{
		Store: noContexts{},
		Resolver: func() (*command.DefaultContext, error) {
			return &command.DefaultContext{
				Meta: store.Metadata{
					Name: command.DefaultContextName, Metadata: command.DockerContext{},
					Endpoints: map[string]any{docker.DockerEndpoint: d.DockerEndpoint().EndpointMeta},
				},
				TLS: store.ContextTLSData{Endpoints: map[string]store.EndpointTLSData{}},
			}, nil
		},
	}
}

// DockerEndpoint returns where the engine is.
func (d *dockerCLI) DockerEndpoint() docker.Endpoint {
	return docker.Endpoint{EndpointMeta: docker.EndpointMeta{Host: d.session.host()}}
}

// Resource describes nothing, for there is no telemetry.
func (d *dockerCLI) Resource() *resource.Resource { return resource.Empty() }

// TracerProvider returns one that traces nothing.
func (d *dockerCLI) TracerProvider() trace.TracerProvider { return tracenoop.NewTracerProvider() }

// MeterProvider returns one that measures nothing.
func (d *dockerCLI) MeterProvider() metric.MeterProvider { return metricnoop.NewMeterProvider() }

// initialize makes the client and agrees on a version with the engine.
func (d *dockerCLI) initialize() {
	d.once.Do(func() {
		d.client = d.session.newClient()
		ctx, cancel := context.WithTimeout(d.ctx, initTimeout)
		defer cancel()
		ping, err := d.client.Ping(ctx)
		if err != nil { // who asks next gets the error, too
			d.info = command.ServerInfo{HasExperimental: true}
			if ping.APIVersion == "" {
				return
			}
		} else {
			d.info = command.ServerInfo{HasExperimental: ping.Experimental, OSType: ping.OSType, BuildkitVersion: ping.BuilderVersion,
				SwarmStatus: ping.SwarmStatus}
		}
		d.client.NegotiateAPIVersionPing(ping)
	})
}

// host returns the address of the engine, as the command line or the environment has it.
func (s *session) host() string {
	if len(s.opts.Hosts) > 0 {
		return s.opts.Hosts[0]
	}
	if h := s.call.Getenv(client.EnvOverrideHost); h != "" {
		return h
	}
	return defaultHost
}

// newClient returns a client whose connections are the session's.
func (s *session) newClient() client.APIClient {
	tr := &http.Transport{}
	c, err := client.NewClientWithOpts(
		client.WithHTTPClient(&http.Client{Transport: tr, CheckRedirect: client.CheckRedirect}),
		client.WithHost(s.host()), client.WithUserAgent(command.UserAgent()),
		client.WithAPIVersionNegotiation(), // with the first request, where the engine was too busy for initialize
	)
	if err != nil { // checkHost has looked
		c, err = client.NewClientWithOpts(client.WithHTTPClient(&http.Client{Transport: tr}), client.WithHost(defaultHost))
		if err != nil {
			panic(fmt.Sprintf("client of %s: %v", defaultHost, err)) // a constant
		}
	}
	tr.Proxy, tr.MaxIdleConns = nil, 6 // as in docker's own
	tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return s.connect(ctx) }
	return &apiClient{APIClient: c, session: s}
}

// checkHost tells what is wrong with the address of the engine.
func (s *session) checkHost() error {
	u, err := client.ParseHostURL(s.host())
	if err != nil {
		return fmt.Errorf("invalid argument %q for \"-H, --host\" flag: %w", s.host(), err)
	}
	switch u.Scheme {
	case "unix", "tcp", "http":
		return nil
	}
	return fmt.Errorf("inside a lab docker reaches engines over unix:// and tcp://, not %s://", u.Scheme)
}

// open opens a connection to the engine that the command line names: the host's own, or one over the lab's network.
func (s *session) open(ctx context.Context) (net.Conn, error) {
	u, err := client.ParseHostURL(s.host())
	if err != nil {
		return nil, err
	}
	if u.Scheme != "unix" {
		return s.call.Sys.NS.Dial(ctx, "tcp", u.Host)
	}
	if path := u.Host + u.Path; path != "/var/run/docker.sock" && path != "/run/docker.sock" {
		return nil, &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"},
			Err: os.NewSyscallError("connect", syscall.ENOENT)}
	}
	return s.dial(ctx)
}

// checkContext tells what is wrong with the context.
func (s *session) checkContext() error {
	name := s.opts.Context
	switch {
	case name != "" && len(s.opts.Hosts) > 0:
		return errors.New("conflicting options: cannot specify both --host and --context")
	case name == "" || name == command.DefaultContextName:
		return nil
	}
	return fmt.Errorf("context %q: %w", name, errNoContexts)
}

// The version is that of the module in go.mod; docker's own build sets it with the linker.
const (
	cliVersion = "28.5.2"
	cliCommit  = "ecc6942"
)
