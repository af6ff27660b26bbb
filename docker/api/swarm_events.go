package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/events"
	swarmapi "github.com/moby/swarmkit/v2/api"

	"github.com/netsim-lab/netsim/docker/engine"
)

// watchSwarm makes the changes of a swarm's objects events of the engine while that is one of the managers.
func (s *Server) watchSwarm(ctx context.Context) error {
	watch, ok := s.cfg.Swarm.(SwarmWatch)
	if !ok {
		return nil
	}
	r := &swarmapi.WatchRequest{IncludeOldObject: true}
	for _, kind := range []string{"node", "service", "network", "secret", "config"} {
		r.Entries = append(r.Entries, &swarmapi.WatchRequest_WatchEntry{
			Kind: kind, Action: swarmapi.WatchActionKindCreate | swarmapi.WatchActionKindUpdate | swarmapi.WatchActionKindRemove,
		})
	}
	return watch.Watch(ctx, r, func(m *swarmapi.WatchMessage) error {
		for _, e := range m.Events {
			if v, ok := swarmEvent(e); ok {
				s.engine.Publish(v)
			}
		}
		return nil
	})
}

// swarmEvent makes an event of a change.
func swarmEvent(e *swarmapi.WatchMessage_Event) (v engine.Event, ok bool) {
	v.Scope = scopeSwarm
	switch e.Action {
	case swarmapi.WatchActionKindCreate:
		v.Action = string(events.ActionCreate)
	case swarmapi.WatchActionKindUpdate:
		v.Action = string(events.ActionUpdate)
	case swarmapi.WatchActionKindRemove:
		v.Action = string(events.ActionRemove)
	default:
		return v, false
	}
	set := func(kind events.Type, id, name string) {
		v.Type, v.ID, v.Attributes = string(kind), id, map[string]string{"name": name}
	}
	switch o := e.Object.GetObject().(type) {
	case *swarmapi.Object_Node:
		set(events.NodeEventType, o.Node.ID, nodeName(o.Node))
		nodeChanges(v.Attributes, e.OldObject.GetNode(), o.Node)
	case *swarmapi.Object_Service:
		set(events.ServiceEventType, o.Service.ID, o.Service.Spec.Annotations.Name)
		serviceChanges(v.Attributes, e.OldObject.GetService(), o.Service)
	case *swarmapi.Object_Network:
		set(events.NetworkEventType, o.Network.ID, o.Network.Spec.Annotations.Name)
	case *swarmapi.Object_Secret:
		set(events.SecretEventType, o.Secret.ID, o.Secret.Spec.Annotations.Name)
	case *swarmapi.Object_Config:
		set(events.ConfigEventType, o.Config.ID, o.Config.Spec.Annotations.Name)
	default:
		return v, false
	}
	return v, true
}

func nodeName(n *swarmapi.Node) string {
	if n.Spec.Annotations.Name == "" && n.Description != nil {
		return n.Description.Hostname
	}
	return n.Spec.Annotations.Name
}

// changed notes a value that is another than before.
func changed(in map[string]string, what, before, now string) {
	if before != now {
		in[what+".old"], in[what+".new"] = before, now
	}
}

// changedState is changed for the names of an enumeration.
func changedState[T fmt.Stringer](in map[string]string, what string, before, now T) {
	changed(in, what, strings.ToLower(before.String()), strings.ToLower(now.String()))
}

// nodeChanges notes what is different at a node; there may be nothing before.
func nodeChanges(in map[string]string, before, now *swarmapi.Node) {
	if before == nil {
		return
	}
	changedState(in, "availability", before.Spec.Availability, now.Spec.Availability)
	changedState(in, "role", before.Role, now.Role)
	changedState(in, "state", before.Status.State, now.Status.State)
	if before.ManagerStatus != nil && now.ManagerStatus != nil {
		changed(in, "leader", strconv.FormatBool(before.ManagerStatus.Leader), strconv.FormatBool(now.ManagerStatus.Leader))
		changedState(in, "reachability", before.ManagerStatus.Reachability, now.ManagerStatus.Reachability)
	}
}

// serviceChanges notes what is different at a service; there may be nothing before.
func serviceChanges(in map[string]string, before, now *swarmapi.Service) {
	if before == nil {
		return
	}
	if b, n := before.Spec.Task.GetContainer(), now.Spec.Task.GetContainer(); b != nil && n != nil {
		changed(in, "image", b.Image, n.Image)
	}
	if b, n := before.Spec.GetReplicated(), now.Spec.GetReplicated(); b != nil && n != nil {
		changed(in, "replicas", strconv.FormatUint(b.Replicas, 10), strconv.FormatUint(n.Replicas, 10))
	}
	switch b, n := before.UpdateStatus, now.UpdateStatus; {
	case n == nil:
	case b == nil:
		in["updatestate.new"] = strings.ToLower(n.State.String())
	default:
		changedState(in, "updatestate", b.State, n.State)
	}
}
