package api

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"github.com/netsim-lab/netsim/docker/engine"
	"github.com/netsim-lab/netsim/docker/image"
)

// eventKinds are the keys of filters that name what an event is about.
var eventKinds = []string{"config", "container", "daemon", "network", "node", "plugin", "secret", "service", "volume"}

// events answers docker events. The head of the answer goes out at once; what happens from then on is not missed.
func (c *call) events() error {
	f, err := c.filters(append([]string{"event", "image", "label", "scope", "type", "builder"}, eventKinds...)...)
	if err != nil {
		return err
	}
	opts := engine.EventOptions{Filter: func(e engine.Event) bool { return matchEvent(f, e) }}
	if opts.Since, err = parseTime(c.query.Get("since")); err != nil {
		return err
	}
	if opts.Until, err = parseTime(c.query.Get("until")); err != nil {
		return err
	}
	if !opts.Since.IsZero() && !opts.Until.IsZero() && opts.Until.Before(opts.Since) {
		return invalid("`since` time (%s) cannot be after `until` time (%s)", c.query.Get("since"), c.query.Get("until"))
	}
	sub := c.s.engine.Subscribe(opts)
	defer sub.Close()
	c.begin("application/json")
	enc := json.NewEncoder(c.w)
	for {
		e, err := sub.Next(c.ctx())
		if err != nil {
			return nil // the end of the time that was asked for, of the client, or of the lab
		}
		if err := enc.Encode(message(e)); err != nil {
			return nil // the client has left
		}
		c.flush()
	}
}

// eventMessage is an event as the API has it. The first three are there for clients older than Action and Actor.
type eventMessage struct {
	Status   string `json:"status,omitempty"`
	ID       string `json:"id,omitempty"`
	From     string `json:"from,omitempty"`
	Type     events.Type
	Action   events.Action
	Actor    events.Actor
	Scope    string `json:"scope,omitempty"`
	Time     int64  `json:"time,omitempty"`
	TimeNano int64  `json:"timeNano,omitempty"`
}

func message(e engine.Event) eventMessage {
	m := eventMessage{
		Type: events.Type(e.Type), Action: events.Action(e.Action), Actor: events.Actor{ID: e.ID, Attributes: e.Attributes},
		Scope: e.Scope, Time: e.Time.Unix(), TimeNano: e.Time.UnixNano(),
	}
	if m.Actor.Attributes == nil {
		m.Actor.Attributes = map[string]string{}
	}
	switch m.Type {
	case events.ContainerEventType:
		m.Status, m.ID, m.From = e.Action, e.ID, e.Attributes["image"]
	case events.ImageEventType:
		m.Status, m.ID = e.Action, e.ID
	}
	return m
}

// matchEvent tells whether an event passes docker events --filter.
func matchEvent(f filters.Args, e engine.Event) bool {
	return matchAction(f, e.Action) && f.ExactMatch("type", e.Type) && f.ExactMatch("scope", e.Scope) && matchKinds(f, e) &&
		matchEventImage(f, e) && (!f.Contains("label") || f.MatchKVList("label", e.Attributes))
}

// matchAction compares actions; those that have more behind a colon are compared up to it, if the filter has none.
func matchAction(f filters.Args, action string) bool {
	for _, want := range f.Get("event") {
		if slices.Contains([]string{"health_status", "exec_create", "exec_start"}, want) {
			return f.FuzzyMatch("event", action)
		}
	}
	return f.ExactMatch("event", action)
}

// matchKinds holds the filters that name a container, network and so on against an event. As in Docker, one that names a
// container also lets a network's event pass that has its name.
func matchKinds(f filters.Args, e engine.Event) bool {
	for _, kind := range eventKinds {
		if f.Contains(kind) && !f.FuzzyMatch(kind, e.ID) && !f.FuzzyMatch(kind, e.Attributes["name"]) {
			return false
		}
	}
	return true
}

func matchEventImage(f filters.Args, e engine.Event) bool {
	if !f.Contains("image") {
		return true
	}
	name := e.Attributes["image"]
	if e.Type == string(events.ImageEventType) {
		name = e.Attributes["name"]
	}
	for _, text := range []string{e.ID, name} {
		if f.ExactMatch("image", text) || f.ExactMatch("image", withoutTag(text)) {
			return true
		}
	}
	return false
}

func withoutTag(ref string) string {
	r, err := image.ParseReference(ref)
	if err != nil || strings.HasPrefix(ref, "sha256:") {
		return ref
	}
	return r.Name
}
