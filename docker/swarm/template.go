package swarm

import (
	"slices"
	"strconv"
	"strings"
)

// expand fills in the placeholders that a service's container may have in its host name and environment, as
// {{.Node.Hostname}} (S17).
func expand(spec ContainerSpec, t *Task) ContainerSpec {
	r := strings.NewReplacer(
		"{{.Node.ID}}", t.NodeID, "{{.Node.Hostname}}", t.NodeName,
		"{{.Service.ID}}", t.ServiceID, "{{.Service.Name}}", t.ServiceName,
		"{{.Task.ID}}", t.ID, "{{.Task.Name}}", t.Name(), "{{.Task.Slot}}", strconv.Itoa(t.Slot),
	)
	spec.Hostname = r.Replace(spec.Hostname)
	spec.Env = slices.Clone(spec.Env)
	for i, e := range spec.Env {
		spec.Env[i] = r.Replace(e)
	}
	return spec
}
