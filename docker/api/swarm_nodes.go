package api

import (
	"context"
	"net/http"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// nodeList answers docker node ls.
func (c *call) nodeList(ctx context.Context, ctl swarmapi.ControlServer) error {
	f, err := c.filters("id", "label", "membership", "name", "node.label", "role")
	if err != nil {
		return err
	}
	want := &swarmapi.ListNodesRequest_Filters{
		NamePrefixes: f.Get("name"), IDPrefixes: f.Get("id"), Labels: keyValues(f, "label"), NodeLabels: keyValues(f, "node.label"),
	}
	if want.Roles, err = enumFilter[swarmapi.NodeRole](f, "role", "role", swarmapi.NodeRole_value); err != nil {
		return err
	}
	if want.Memberships, err = enumFilter[swarmapi.NodeSpec_Membership](f, "membership", "membership", swarmapi.NodeSpec_Membership_value); err != nil {
		return err
	}
	r, err := ctl.ListNodes(ctx, &swarmapi.ListNodesRequest{Filters: want})
	if err != nil {
		return err
	}
	all := make([]swarm.Node, 0, len(r.Nodes))
	for _, n := range r.Nodes {
		all = append(all, convert.NodeFromGRPC(*n))
	}
	return c.json(http.StatusOK, all)
}

// nodeInspect answers docker node inspect.
func (c *call) nodeInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	n, err := findNode(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, convert.NodeFromGRPC(*n))
}

// nodeUpdate answers docker node update, promote and demote.
func (c *call) nodeUpdate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.NodeSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	version, err := c.objectVersion("node")
	if err != nil {
		return err
	}
	to, err := convert.NodeSpecToGRPC(spec)
	if err != nil {
		return invalid("%v", err)
	}
	n, err := findNode(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	if _, err := ctl.UpdateNode(ctx, &swarmapi.UpdateNodeRequest{NodeID: n.ID, Spec: &to, NodeVersion: version}); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// nodeRemove answers docker node rm.
func (c *call) nodeRemove(ctx context.Context, ctl swarmapi.ControlServer) error {
	n, err := findNode(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	if _, err := ctl.RemoveNode(ctx, &swarmapi.RemoveNodeRequest{NodeID: n.ID, Force: c.bool("force")}); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// taskList answers docker service ps, docker node ps and docker stack ps.
func (c *call) taskList(ctx context.Context, ctl swarmapi.ControlServer) error {
	f, err := c.filters("_up-to-date", "desired-state", "id", "label", "name", "node", "runtime", "service")
	if err != nil {
		return err
	}
	want, err := taskFilters(ctx, ctl, f)
	if err != nil {
		return err
	}
	r, err := ctl.ListTasks(ctx, &swarmapi.ListTasksRequest{Filters: want})
	if err != nil {
		return err
	}
	all := make([]swarm.Task, 0, len(r.Tasks))
	for _, t := range r.Tasks {
		v, err := convert.TaskFromGRPC(*t)
		if err != nil {
			return err
		}
		all = append(all, v)
	}
	return c.json(http.StatusOK, all)
}

// taskFilters returns the filters of a list of tasks, with ids where clients may give names.
func taskFilters(ctx context.Context, ctl swarmapi.ControlServer, f filters.Args) (*swarmapi.ListTasksRequest_Filters, error) {
	want := &swarmapi.ListTasksRequest_Filters{
		NamePrefixes: f.Get("name"), IDPrefixes: f.Get("id"), Labels: keyValues(f, "label"), UpToDate: f.Contains("_up-to-date"),
		Runtimes: f.Get("runtime"),
	}
	for _, name := range f.Get("service") {
		s, err := findService(ctx, ctl, name, false)
		if err != nil {
			return nil, err
		}
		want.ServiceIDs = append(want.ServiceIDs, s.ID)
	}
	for _, name := range f.Get("node") {
		n, err := findNode(ctx, ctl, name)
		if err != nil {
			return nil, err
		}
		want.NodeIDs = append(want.NodeIDs, n.ID)
	}
	if len(want.Runtimes) == 0 {
		want.Runtimes = []string{"container", ""} // no attachments of networks
	}
	var err error
	want.DesiredStates, err = enumFilter[swarmapi.TaskState](f, "desired-state", "desired-state", swarmapi.TaskState_value)
	return want, err
}

// taskInspect answers docker inspect of a task.
func (c *call) taskInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	t, err := findTask(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	v, err := convert.TaskFromGRPC(*t)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, v)
}
