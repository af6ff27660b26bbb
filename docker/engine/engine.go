// Package engine is a Docker engine of one host: it makes containers from the built-in images, gives each a namespace
// of its own that is on the networks of the host's controller, runs their programs, keeps what they print, and runs
// further commands in them. It has what Docker's API can ask for in types of its own: images and their pull, networks,
// events, terminals, health checks, restart policies.
//
// An Engine starts nothing by itself. A container that was started runs in the group behind Config.Spawn, and ends when
// its program does, when it is stopped, or when the group ends.
package engine

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
	"github.com/netsim-lab/netsim/docker/image"
	"github.com/netsim-lab/netsim/netns"
)

// Config says what an Engine is. Name, Controller, Host and Spawn are needed.
type Config struct {
	Name       string           // the host's
	Controller *cnm.Controller  // the host's networks
	Host       *netns.Namespace // the host's namespace
	Spawn      cnm.Spawn        // starts the containers
	Seed       uint64           // seeds ids and names; 0 is a seed like any other
	Log        *slog.Logger     // nil: silent
	// HostFiles returns the host's files, for containers in the host's network; nil: there are none.
	HostFiles func(path string) ([]byte, bool)
	// Watch is called with each interface that a container gets; nil: nobody is told.
	Watch func(i *netns.Interface)
	// Services tells programs of the services of the host's swarm; nil: it is in none.
	Services image.Services
	// StopGrace is how long a program has to end when its container is stopped. 0: 10 seconds.
	StopGrace time.Duration
	// PullDelay is how long each of the four steps of a layer takes to be pulled. 0: no time.
	PullDelay time.Duration
	// Attach has the swarm put a container (by its id) that is no task on one of its networks, which may not be here yet: it returns
	// the endpoint's settings with its address, and what gives that back, nil if it knows no such network. Its error is
	// shown to the user. nil: the endpoint's settings are taken as they are.
	Attach func(ctx context.Context, container string, ep cnm.EndpointConfig) (given cnm.EndpointConfig, release func(), err error)
}

// defaultGrace is docker stop's.
const defaultGrace = 10 * time.Second

// Engine has the containers of one host. All methods may be called at once from several goroutines.
type Engine struct {
	cfg    Config
	log    *slog.Logger
	id     string
	images store
	events events

	mu         sync.Mutex
	luck       *rand.Rand            // guarded by mu
	containers map[string]*Container // by id, guarded by mu
	byName     map[string]*Container // guarded by mu
	execs      map[string]*Exec      // by id, guarded by mu
	execOrder  []*Exec               // guarded by mu; as they were made
	execRoom   int                   // guarded by mu; how many there may be before some are dropped
	nextPID    int                   // guarded by mu
}

// New returns an engine without containers and images.
func New(cfg Config) *Engine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.StopGrace <= 0 {
		cfg.StopGrace = defaultGrace
	}
	own := rand.New(rand.NewPCG(cfg.Seed, hashString("engine id "+cfg.Name)))
	return &Engine{
		cfg: cfg, log: cfg.Log, id: randomID(own), luck: rand.New(rand.NewPCG(cfg.Seed, hashString("engine "+cfg.Name))),
		containers: map[string]*Container{}, byName: map[string]*Container{}, execs: map[string]*Exec{}, nextPID: 2000,
		images: store{images: map[string]*stored{}}, events: events{subscribers: map[*Subscription]bool{}},
	}
}

func hashString(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // a hash takes everything
	return h.Sum64()
}

// Name returns the host's name.
func (e *Engine) Name() string { return e.cfg.Name }

// Controller returns the host's network controller.
func (e *Engine) Controller() *cnm.Controller { return e.cfg.Controller }

// Host returns the host's namespace.
func (e *Engine) Host() *netns.Namespace { return e.cfg.Host }

// Create makes a container, and starts nothing. An image that the host has not is pulled, if it may be; one that is not
// there is an error of package image that wraps ErrNotFound. Networks need not be there yet.
func (e *Engine) Create(cfg ContainerConfig) (*Container, error) {
	cfg = cfg.clone()
	cfg.normalise()
	warnings, err := e.check(&cfg)
	if err != nil {
		return nil, err
	}
	im, err := e.imageFor(cfg.Image, cfg.Pull)
	if err != nil {
		return nil, err
	}
	argv := im.Argv(cfg.Entrypoint, cfg.Command)
	if len(argv) == 0 || argv[0] == "" {
		return nil, fail(ErrInvalid, "no command specified")
	}
	if err := e.checkLinks(&cfg); err != nil {
		return nil, err
	}
	c := &Container{
		engine: e, cfg: cfg, image: im, argv: argv, created: time.Now(), exited: make(chan struct{}), log: &logRing{},
		endpoints: cfg.Networks, policy: cfg.RestartPolicy, resources: cfg.Resources, warnings: warnings,
	}
	c.out = &output{log: c.log}
	c.io = c.newIO()
	if check := healthcheck(cfg.Healthcheck, im.Healthcheck); check != nil {
		c.health = &monitor{c: c, check: *check, status: Starting, early: cfg.EarlyHealth}
	}
	if err := e.add(c); err != nil {
		return nil, err
	}
	c.event("create", nil)
	return c, nil
}

// checkLinks tells whether the containers that are to be linked are there.
func (e *Engine) checkLinks(cfg *ContainerConfig) error {
	for _, text := range cfg.Links {
		ref, _ := parseLink(text)
		if _, err := e.Container(ref); err != nil {
			return fail(ErrInvalid, "could not get container for %s: %v", ref, err)
		}
	}
	return nil
}

// add gives a container its id and name and notes it (I32).
func (e *Engine) add(c *Container) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.id = randomID(e.luck)
	c.name = strings.TrimPrefix(c.cfg.Name, "/")
	if c.name == "" {
		c.name = randomName(e.luck, func(name string) bool { return e.byName[name] != nil })
	}
	if other := e.byName[c.name]; other != nil {
		return &ConflictError{Name: c.name, ID: other.id}
	}
	c.seed = e.luck.Uint64()
	e.containers[c.id], e.byName[c.name] = c, c
	return nil
}

// rename gives a container another name.
func (e *Engine) rename(c *Container, name string) error {
	name = strings.TrimPrefix(name, "/")
	if !nameForm.MatchString(name) {
		return fail(ErrInvalid, "Invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", name)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.byName[name]; other != nil {
		return because(ErrConflict, errors.New("Error when allocating new name: "+(&ConflictError{Name: name, ID: other.id}).Error()))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(e.byName, c.name)
	c.name = name
	e.byName[name] = c
	return nil
}

// forget takes a container off the list.
func (e *Engine) forget(c *Container) {
	name := c.Name()
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, c.id)
	delete(e.byName, name)
}

// newPID returns a process id that no container of the host had.
func (e *Engine) newPID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.nextPID += 1 + e.luck.IntN(40)
	return e.nextPID
}

// Containers returns all containers, the oldest first.
func (e *Engine) Containers() []*Container {
	e.mu.Lock()
	all := make([]*Container, 0, len(e.containers))
	for _, c := range e.containers {
		all = append(all, c)
	}
	e.mu.Unlock()
	slices.SortFunc(all, func(a, b *Container) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.id, b.id))
	})
	return all
}

// Container returns the container of that name or id, or whose id begins so. A name comes before an id (I31). The error
// wraps ErrNotFound, or says that several ids begin so.
func (e *Engine) Container(nameOrID string) (*Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := strings.TrimPrefix(nameOrID, "/")
	if c := e.byName[key]; c != nil {
		return c, nil
	}
	if c := e.containers[key]; c != nil {
		return c, nil
	}
	var found *Container
	for id, c := range e.containers {
		if key == "" || !strings.HasPrefix(id, key) {
			continue
		}
		if found != nil {
			return nil, fail(ErrInvalid, "multiple IDs found with provided prefix: %s", key)
		}
		found = c
	}
	if found == nil {
		return nil, errNoContainer(nameOrID)
	}
	return found, nil
}
