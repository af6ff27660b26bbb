package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/registry"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// serviceList answers docker service ls.
func (c *call) serviceList(ctx context.Context, ctl swarmapi.ControlServer) error {
	f, err := c.filters("id", "label", "mode", "name", "runtime")
	if err != nil {
		return err
	}
	status := false
	if c.version >= version141 {
		if status, err = c.flag("status"); err != nil {
			return err
		}
	}
	if !f.Contains("runtime") {
		f.Add("runtime", string(swarm.RuntimeContainer))
	}
	r, err := ctl.ListServices(ctx, &swarmapi.ListServicesRequest{Filters: &swarmapi.ListServicesRequest_Filters{
		NamePrefixes: f.Get("name"), IDPrefixes: f.Get("id"), Labels: keyValues(f, "label"), Runtimes: f.Get("runtime"),
	}})
	if err != nil {
		return err
	}
	all := make([]swarm.Service, 0, len(r.Services))
	for _, s := range r.Services {
		if !matchMode(f, s) {
			continue
		}
		v, err := convert.ServiceFromGRPC(*s)
		if err != nil {
			return err
		}
		all = append(all, v)
	}
	if status {
		if err := addStatus(ctx, ctl, all); err != nil {
			return err
		}
	}
	return c.json(http.StatusOK, all)
}

// matchMode tells whether a service passes the filter mode.
func matchMode(f filters.Args, s *swarmapi.Service) bool {
	mode := ""
	switch s.Spec.GetMode().(type) {
	case *swarmapi.ServiceSpec_Global:
		mode = "global"
	case *swarmapi.ServiceSpec_Replicated:
		mode = "replicated"
	case *swarmapi.ServiceSpec_ReplicatedJob:
		mode = "replicated-job"
	case *swarmapi.ServiceSpec_GlobalJob:
		mode = "global-job"
	}
	return f.ExactMatch("mode", mode)
}

// addStatus says of services how many tasks they have and ought to have.
func addStatus(ctx context.Context, ctl swarmapi.ControlServer, all []swarm.Service) error {
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	r, err := ctl.ListServiceStatuses(ctx, &swarmapi.ListServiceStatusesRequest{Services: ids})
	if err != nil {
		return err
	}
	by := map[string]*swarm.ServiceStatus{}
	for _, s := range r.Statuses {
		by[s.ServiceID] = &swarm.ServiceStatus{RunningTasks: s.RunningTasks, DesiredTasks: s.DesiredTasks, CompletedTasks: s.CompletedTasks}
	}
	for i := range all {
		all[i].ServiceStatus = by[all[i].ID]
	}
	return nil
}

// serviceInspect answers docker service inspect, and what docker service update asks for first.
func (c *call) serviceInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	defaults, err := c.flag("insertDefaults")
	if err != nil {
		return err
	}
	s, err := findService(ctx, ctl, c.name, defaults)
	if err != nil {
		return err
	}
	v, err := convert.ServiceFromGRPC(*s)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, v)
}

// serviceCreate answers docker service create.
func (c *call) serviceCreate(ctx context.Context, ctl swarmapi.ControlServer) error {
	spec, err := c.serviceSpec(ctx, ctl)
	if err != nil {
		return err
	}
	if ctr := spec.Task.GetContainer(); ctr != nil {
		if auth := c.r.Header.Get(registry.AuthHeader); auth != "" {
			ctr.PullOptions = &swarmapi.ContainerSpec_PullOptions{RegistryAuth: auth}
		}
	}
	r, err := ctl.CreateService(ctx, &swarmapi.CreateServiceRequest{Spec: spec})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, swarm.ServiceCreateResponse{ID: r.Service.ID})
}

// serviceSpec reads a service from the request, as managers take it.
func (c *call) serviceSpec(ctx context.Context, ctl swarmapi.ControlServer) (*swarmapi.ServiceSpec, error) {
	var req swarm.ServiceSpec
	if err := c.decode(&req); err != nil {
		return nil, err
	}
	adjustSpec(c.version, &req)
	if err := c.networkIDs(ctx, ctl, &req); err != nil {
		return nil, err
	}
	spec, err := convert.ServiceSpecToGRPC(req)
	if err != nil {
		return nil, invalid("%v", err)
	}
	switch spec.Task.Runtime.(type) {
	case *swarmapi.TaskSpec_Container:
		if spec.Task.GetContainer() != nil {
			return &spec, nil
		}
	case *swarmapi.TaskSpec_Attachment:
		return nil, invalid("invalid task spec: spec type %q not supported", swarm.RuntimeNetworkAttachment)
	case *swarmapi.TaskSpec_Generic:
		return nil, &apiError{http.StatusNotImplemented, "plugins are not simulated"}
	}
	return nil, invalid("service does not use container tasks")
}

// adjustSpec takes out of a service what clients of an older version cannot have meant.
func adjustSpec(v apiVersion, s *swarm.ServiceSpec) {
	if v < version141 {
		s.Mode.ReplicatedJob, s.Mode.GlobalJob = nil, nil
	}
	if p := s.TaskTemplate.Placement; p != nil && v < version140 {
		p.MaxReplicas = 0
	}
	ctr := s.TaskTemplate.ContainerSpec
	if ctr == nil {
		return
	}
	if v < version140 {
		ctr.Sysctls = nil
	}
	if v < version141 {
		ctr.CapabilityAdd, ctr.CapabilityDrop, ctr.Ulimits = nil, nil, nil
	}
	if v < version144 && ctr.Healthcheck != nil {
		ctr.Healthcheck.StartInterval = 0
	}
}

// networkIDs puts ids in the place of the names of networks (W38).
func (c *call) networkIDs(ctx context.Context, ctl swarmapi.ControlServer, s *swarm.ServiceSpec) error {
	networks := s.TaskTemplate.Networks
	if len(networks) == 0 {
		//lint:ignore SA1019 clients before 1.29 have them here
		networks = s.Networks
	}
	for i, n := range networks {
		found, err := findNetwork(ctx, ctl, n.Target)
		if err == nil {
			networks[i].Target = found.ID
			continue
		}
		local, _ := c.s.engine.Network(n.Target)
		if local != nil && local.Scope() != scopeSwarm {
			return &apiError{http.StatusForbidden, fmt.Sprintf("The network %s cannot be used with services. "+
				"Only networks scoped to the swarm can be used, such as those created with the overlay driver.", local.Name())}
		}
		return err
	}
	return nil
}

// serviceUpdate answers docker service update, scale and rollback.
func (c *call) serviceUpdate(ctx context.Context, ctl swarmapi.ControlServer) error {
	spec, err := c.serviceSpec(ctx, ctl)
	if err != nil {
		return err
	}
	version, err := c.objectVersion("service")
	if err != nil {
		return err
	}
	now, err := findService(ctx, ctl, c.name, false)
	if err != nil {
		return err
	}
	if err := c.keepAuth(spec.Task.GetContainer(), now); err != nil {
		return err
	}
	req := &swarmapi.UpdateServiceRequest{ServiceID: now.ID, Spec: spec, ServiceVersion: version}
	switch rollback := c.query.Get("rollback"); rollback {
	case "", "none":
	case "previous":
		req.Rollback = swarmapi.UpdateServiceRequest_PREVIOUS
	default:
		return &apiError{http.StatusInternalServerError, "unrecognized rollback option " + rollback}
	}
	if _, err := ctl.UpdateService(ctx, req); err != nil {
		return err
	}
	return c.json(http.StatusOK, swarm.ServiceUpdateResponse{})
}

// keepAuth gives a changed service the registry's password that the client sends, or the one that it had.
func (c *call) keepAuth(ctr *swarmapi.ContainerSpec, now *swarmapi.Service) error {
	if auth := c.r.Header.Get(registry.AuthHeader); auth != "" {
		ctr.PullOptions = &swarmapi.ContainerSpec_PullOptions{RegistryAuth: auth}
		return nil
	}
	from := now.Spec.Task.GetContainer()
	switch c.query.Get("registryAuthFrom") {
	case swarm.RegistryAuthFromSpec, "":
	case swarm.RegistryAuthFromPreviousSpec:
		if now.PreviousSpec == nil {
			return invalid("service does not have a previous spec")
		}
		from = now.PreviousSpec.Task.GetContainer()
	default:
		return invalid("unsupported registryAuthFrom value")
	}
	if from == nil {
		return invalid("service does not use container tasks")
	}
	ctr.PullOptions = from.PullOptions
	return nil
}

// serviceRemove answers docker service rm.
func (c *call) serviceRemove(ctx context.Context, ctl swarmapi.ControlServer) error {
	s, err := findService(ctx, ctl, c.name, false)
	if err != nil {
		return err
	}
	if _, err := ctl.RemoveService(ctx, &swarmapi.RemoveServiceRequest{ServiceID: s.ID}); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}
