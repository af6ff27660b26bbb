// Package engine is a Docker engine of one host: it makes containers from the built-in images, gives each a namespace
// of its own that is on the networks of the host's controller, runs their programs, keeps what they print, and runs
// further commands in them.
//
// An Engine starts nothing by itself. A container that was started runs in the group behind Config.Spawn, and ends when
// its program does, when it is stopped, or when the group ends.
package engine

import (
	"cmp"
	"errors"
	"fmt"
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

// ErrNotFound is what errors about a container that is not there wrap.
var ErrNotFound = errors.New("no such container")

// ConflictError says that a container of that name is there.
type ConflictError struct{ Name, ID string }

// Error returns Docker's text (I32).
func (e *ConflictError) Error() string {
	return fmt.Sprintf("Conflict. The container name %q is already in use by container %q. "+
		"You have to remove (or rename) that container to be able to reuse that name.", "/"+e.Name, e.ID)
}

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
	// StopGrace is how long a program has to end when its container is stopped. 0: 10 seconds.
	StopGrace time.Duration
}

// defaultGrace is docker stop's.
const defaultGrace = 10 * time.Second

// Engine has the containers of one host. All methods may be called at once from several goroutines.
type Engine struct {
	cfg Config
	log *slog.Logger

	mu         sync.Mutex
	luck       *rand.Rand            // guarded by mu
	containers map[string]*Container // by id, guarded by mu
	byName     map[string]*Container // guarded by mu
	nextPID    int                   // guarded by mu
}

// New returns an engine without containers.
func New(cfg Config) *Engine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.StopGrace <= 0 {
		cfg.StopGrace = defaultGrace
	}
	return &Engine{
		cfg: cfg, log: cfg.Log, luck: rand.New(rand.NewPCG(cfg.Seed, hashString("engine "+cfg.Name))),
		containers: map[string]*Container{}, byName: map[string]*Container{}, nextPID: 2000,
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

// Create makes a container, and starts nothing. An image that is not there is an error of package image.
func (e *Engine) Create(cfg ContainerConfig) (*Container, error) {
	im, err := image.Lookup(cfg.Image)
	if err != nil {
		return nil, err
	}
	argv := im.Argv(cfg.Entrypoint, cfg.Command)
	if len(argv) == 0 {
		return nil, errors.New("no command specified")
	}
	if cfg.Name != "" && !nameForm.MatchString(cfg.Name) {
		return nil, fmt.Errorf("invalid container name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed", cfg.Name)
	}
	return e.add(&Container{
		engine: e, cfg: cfg.clone(), image: im, argv: argv, created: time.Now(), exited: make(chan struct{}),
	})
}

// add gives a container its id and name and notes it (I32).
func (e *Engine) add(c *Container) (*Container, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.id = randomID(e.luck)
	c.name = c.cfg.Name
	if c.name == "" {
		c.name = randomName(e.luck, func(name string) bool { return e.byName[name] != nil })
	}
	if other := e.byName[c.name]; other != nil {
		return nil, &ConflictError{Name: c.name, ID: other.id}
	}
	c.seed = e.luck.Uint64()
	e.containers[c.id], e.byName[c.name] = c, c
	return c, nil
}

// forget takes a container off the list.
func (e *Engine) forget(c *Container) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.containers, c.id)
	delete(e.byName, c.name)
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
			return nil, fmt.Errorf("multiple IDs found with provided prefix: %s", key)
		}
		found = c
	}
	if found == nil {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, nameOrID)
	}
	return found, nil
}
