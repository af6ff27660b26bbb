package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netsim-lab/netsim/docker/engine"
)

// Versions of the API.
const (
	Version    = "1.50" // announced by an engine of today, and the highest served
	MinVersion = "1.24" // the lowest served
)

// EngineVersion is the version that an engine of today says it has: that of the API, with a word on what it is.
const EngineVersion = "28.2.2-netsim"

const (
	// maxBody is how long the body of a request may be. The largest that the docker command sends has some kilobytes.
	maxBody = 4 << 20
	// maxHeader is how long the head of a request may be.
	maxHeader = 64 << 10
	// headPatience is how long a client has for the head of a request, also for its first after it connected.
	headPatience = 30 * time.Second
	// idlePatience is how long a connection may lie between two requests.
	idlePatience = 3 * time.Minute
	// maxConns is how many connections are served at once; one more is refused with a sentence.
	maxConns = 4096
	// farewell is how long answers under way have to get out when the server ends.
	farewell = 200 * time.Millisecond
)

// Config says what a Server is. Engine is needed.
type Config struct {
	Engine *engine.Engine
	// Socket is the path of the Unix socket that Run serves; empty: none. Its directory is the caller's, who keeps
	// others out of it.
	Socket string
	// Modern has inspects and ports look as those of today's engines, not as those of 2017.
	Modern bool
	// Release is the version of Docker that the engine has, and so of the API; zero: ReleaseToday.
	Release Release
	// Swarm is the engine's side of a swarm; nil: it is in none, and cannot be.
	Swarm Swarm
	Log   *slog.Logger // nil: silent
}

// Server is the API of one engine. Its methods may be called at once from several goroutines.
type Server struct {
	cfg    Config
	engine *engine.Engine
	max    apiVersion // the highest served
	log    *slog.Logger
	routes routes
	mem    *memListener
	ready  chan struct{}

	requests inflight // those under way, hijacked ones too
}

// inflight counts requests, and takes no more once the server has ended.
type inflight struct {
	mu    sync.Mutex
	n     int           // guarded by mu
	ended bool          // guarded by mu
	idle  chan struct{} // guarded by mu; made by end, closed when none is left
}

// enter counts a request; false: it comes too late.
func (f *inflight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	f.n++
	return true
}

func (f *inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.ended {
		close(f.idle)
	}
}

// end takes no more requests and waits for those under way.
func (f *inflight) end() {
	f.mu.Lock()
	f.ended, f.idle = true, make(chan struct{})
	if f.n == 0 {
		close(f.idle)
	}
	idle := f.idle
	f.mu.Unlock()
	<-idle
}

// New returns the API of an engine. It opens nothing.
func New(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Release = cmp.Or(cfg.Release, ReleaseToday)
	return &Server{
		cfg: cfg, engine: cfg.Engine, max: cfg.Release.highest(), log: cfg.Log, routes: newRoutes(), mem: newMemListener(), ready: make(chan struct{}),
	}
}

// Socket returns the path of the Unix socket; empty: there is none.
func (s *Server) Socket() string { return s.cfg.Socket }

// Ready is closed once Run serves.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Dial connects to the server in memory; Run must serve. The connection has CloseWrite, for a half close.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) { return s.mem.dial(ctx) }

// Run serves until ctx ends: the socket of the configuration, and what Dial connects. It returns after the last request
// has ended, nil when ctx has. The socket is gone then.
func (s *Server) Run(ctx context.Context) error {
	listeners := []net.Listener{s.mem}
	defer func() { _ = s.mem.Close() }() // Dial fails from now on
	if s.cfg.Socket != "" {
		ln, err := listenSocket(s.cfg.Socket)
		if err != nil {
			return fmt.Errorf("serve the Docker API of %s: %w", s.engine.Name(), err)
		}
		listeners = append(listeners, ln)
	}
	life, end := context.WithCancel(ctx)
	defer end()
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: headPatience, IdleTimeout: idlePatience, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return life },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	g, gctx := errgroup.WithContext(ctx)
	room := make(chan struct{}, maxConns)
	for _, ln := range listeners {
		g.Go(func() error {
			if err := srv.Serve(&boundedListener{Listener: ln, room: room}); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	g.Go(func() error { return s.watchSwarm(gctx) })
	g.Go(func() error {
		<-gctx.Done()
		end()
		shutDown(srv)
		return nil
	})
	close(s.ready)
	err := g.Wait()
	s.requests.end()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve the Docker API of %s: %w", s.engine.Name(), cmp.Or(err, net.ErrClosed))
}

// shutDown lets the requests under way end, for a while.
func shutDown(srv *http.Server) {
	patience, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if srv.Shutdown(patience) != nil {
		_ = srv.Close() // what was left was told to end, and did not
	}
}
