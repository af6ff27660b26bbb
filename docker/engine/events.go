package engine

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/netsim-lab/netsim/docker/cnm"
)

// Bounds of events.
const (
	eventsKept  = 1024 // of the past
	eventsAhead = 1024 // that may wait for a subscriber
)

// Event is something that happened on the host.
type Event struct {
	Time       time.Time // no two are equal
	Type       string    // container, image, network, and a swarm's: node, service, secret, config
	Action     string    // start, health_status: healthy
	ID         string    // of what it happened to: the actor's
	Scope      string    // local or swarm
	Attributes map[string]string
}

// EventOptions says which events are wanted.
type EventOptions struct {
	Since  time.Time // zero: none of the past
	Until  time.Time // zero: no end
	Filter func(Event) bool
}

// ErrSlow says that a subscriber took events too slowly and was cut.
var ErrSlow = errors.New("events were not taken in time")

// events are the events of an engine: some of the past, and those who want to hear of new ones.
type events struct {
	mu          sync.Mutex
	past        []Event                // guarded by mu
	subscribers map[*Subscription]bool // guarded by mu
	last        time.Time              // guarded by mu
}

// Subscription is somebody who hears of events. It is for one reader.
type Subscription struct {
	events *events
	opts   EventOptions
	past   []Event
	ch     chan Event
	cut    bool // guarded by events.mu; it was too slow
	closed bool // guarded by events.mu; ch is closed
}

// Subscribe returns a subscription. No event is lost between those of the past and those to come. It must be closed.
func (e *Engine) Subscribe(opts EventOptions) *Subscription {
	s := &Subscription{events: &e.events, opts: opts, ch: make(chan Event, eventsAhead)}
	ev := &e.events
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if !opts.Since.IsZero() {
		for _, event := range ev.past {
			if s.wants(event) && !event.Time.Before(opts.Since) {
				s.past = append(s.past, event)
			}
		}
	}
	ev.subscribers[s] = true
	return s
}

func (s *Subscription) wants(e Event) bool {
	return (s.opts.Until.IsZero() || !e.Time.After(s.opts.Until)) && (s.opts.Filter == nil || s.opts.Filter(e))
}

// Next returns the next event. It fails with io.EOF once Until has come or Close was called, with ErrSlow after too many
// events were not taken, or with ctx.
func (s *Subscription) Next(ctx context.Context) (Event, error) {
	if len(s.past) > 0 {
		event := s.past[0]
		s.past = s.past[1:]
		return event, nil
	}
	var over <-chan time.Time
	if !s.opts.Until.IsZero() {
		timer := time.NewTimer(time.Until(s.opts.Until))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case event, ok := <-s.ch:
		if !ok {
			return Event{}, s.end()
		}
		return event, nil
	case <-over:
		select {
		case event, ok := <-s.ch: // what came before the end
			if ok {
				return event, nil
			}
		default:
		}
		return Event{}, io.EOF
	case <-ctx.Done():
		return Event{}, ctx.Err()
	}
}

func (s *Subscription) end() error {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	if s.cut {
		return ErrSlow
	}
	return io.EOF
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.events.mu.Lock()
	defer s.events.mu.Unlock()
	s.events.drop(s)
}

// drop ends a subscription; the caller holds mu.
func (ev *events) drop(s *Subscription) {
	delete(ev.subscribers, s)
	if !s.closed {
		s.closed = true
		close(s.ch)
	}
}

// Publish makes an event of somewhere else known, such as a swarm's; its time is now, and its scope local if it has none.
func (e *Engine) Publish(event Event) { e.publish(event) }

// publish makes an event known.
func (e *Engine) publish(event Event) {
	event.Scope = cmp.Or(event.Scope, "local")
	ev := &e.events
	ev.mu.Lock()
	defer ev.mu.Unlock()
	if event.Time = time.Now(); !event.Time.After(ev.last) {
		event.Time = ev.last.Add(time.Nanosecond)
	}
	ev.last = event.Time
	ev.past = append(ev.past, event)
	if len(ev.past) > 2*eventsKept {
		ev.past = slices.Clone(ev.past[len(ev.past)-eventsKept:])
	}
	for s := range ev.subscribers {
		if !s.wants(event) {
			continue
		}
		select {
		case s.ch <- event:
		default:
			s.cut = true
			ev.drop(s)
		}
	}
}

// event is an event of the container, with its image, name and labels.
func (c *Container) event(action string, more map[string]string) {
	attributes := map[string]string{}
	maps.Copy(attributes, c.cfg.Labels)
	attributes["image"], attributes["name"] = c.cfg.Image, c.Name()
	maps.Copy(attributes, more)
	c.engine.publish(Event{Type: "container", Action: action, ID: c.id, Attributes: attributes})
}

// networkEvent is an event of a network and the container.
func (c *Container) networkEvent(action string, n *cnm.Network) {
	c.engine.networkEvent(action, n, map[string]string{"container": c.id})
}

func (e *Engine) networkEvent(action string, n *cnm.Network, more map[string]string) {
	attributes := map[string]string{"name": n.Name(), "type": n.Driver()}
	maps.Copy(attributes, more)
	e.publish(Event{Type: "network", Action: action, ID: n.ID(), Attributes: attributes})
}

func (e *Engine) imageEvent(action, id, name string) {
	e.publish(Event{Type: "image", Action: action, ID: id, Attributes: map[string]string{"name": name}})
}
