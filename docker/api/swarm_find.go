package api

import (
	"context"
	"strings"

	"github.com/docker/docker/api/types/filters"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// finder looks objects of one kind up.
type finder[T any] struct {
	what string
	get  func(id string) (T, error)
	list func(names, prefixes []string) ([]T, error) // by whole names or by beginnings of ids
}

// find returns the object that a client means: by its whole id, its name, or the beginning of its id.
func (f finder[T]) find(input string) (found T, err error) {
	if found, err = f.get(input); err == nil {
		return found, nil
	}
	all, err := f.list([]string{input}, nil)
	if err != nil || len(all) == 0 {
		all, err = f.list(nil, []string{input})
	}
	switch {
	case err != nil:
		return found, err
	case len(all) == 0:
		return found, notFound("%s %s not found", f.what, input)
	case len(all) > 1:
		return found, invalid("%s %s is ambiguous (%d matches found)", f.what, input, len(all))
	}
	return all[0], nil
}

func findNode(ctx context.Context, ctl swarmapi.ControlServer, input string) (*swarmapi.Node, error) {
	return finder[*swarmapi.Node]{
		what: "node",
		get: func(id string) (*swarmapi.Node, error) {
			r, err := ctl.GetNode(ctx, &swarmapi.GetNodeRequest{NodeID: id})
			if err != nil {
				return nil, err
			}
			return r.Node, nil
		},
		list: func(names, prefixes []string) ([]*swarmapi.Node, error) {
			r, err := ctl.ListNodes(ctx, &swarmapi.ListNodesRequest{Filters: &swarmapi.ListNodesRequest_Filters{Names: names, IDPrefixes: prefixes}})
			if err != nil {
				return nil, err
			}
			return r.Nodes, nil
		},
	}.find(input)
}

func findService(ctx context.Context, ctl swarmapi.ControlServer, input string, defaults bool) (*swarmapi.Service, error) {
	get := func(id string) (*swarmapi.Service, error) {
		r, err := ctl.GetService(ctx, &swarmapi.GetServiceRequest{ServiceID: id, InsertDefaults: defaults})
		if err != nil {
			return nil, err
		}
		return r.Service, nil
	}
	found, err := finder[*swarmapi.Service]{
		what: "service", get: get,
		list: func(names, prefixes []string) ([]*swarmapi.Service, error) {
			r, err := ctl.ListServices(ctx, &swarmapi.ListServicesRequest{
				Filters: &swarmapi.ListServicesRequest_Filters{Names: names, IDPrefixes: prefixes},
			})
			if err != nil {
				return nil, err
			}
			return r.Services, nil
		},
	}.find(input)
	if err != nil || !defaults || found.ID == input {
		return found, err
	}
	return get(found.ID) // a list has no defaults
}

func findTask(ctx context.Context, ctl swarmapi.ControlServer, input string) (*swarmapi.Task, error) {
	return finder[*swarmapi.Task]{
		what: "task",
		get: func(id string) (*swarmapi.Task, error) {
			r, err := ctl.GetTask(ctx, &swarmapi.GetTaskRequest{TaskID: id})
			if err != nil {
				return nil, err
			}
			return r.Task, nil
		},
		list: func(names, prefixes []string) ([]*swarmapi.Task, error) {
			r, err := ctl.ListTasks(ctx, &swarmapi.ListTasksRequest{Filters: &swarmapi.ListTasksRequest_Filters{Names: names, IDPrefixes: prefixes}})
			if err != nil {
				return nil, err
			}
			return r.Tasks, nil
		},
	}.find(input)
}

func findSecret(ctx context.Context, ctl swarmapi.ControlServer, input string) (*swarmapi.Secret, error) {
	return finder[*swarmapi.Secret]{
		what: "secret",
		get: func(id string) (*swarmapi.Secret, error) {
			r, err := ctl.GetSecret(ctx, &swarmapi.GetSecretRequest{SecretID: id})
			if err != nil {
				return nil, err
			}
			return r.Secret, nil
		},
		list: func(names, prefixes []string) ([]*swarmapi.Secret, error) {
			r, err := ctl.ListSecrets(ctx, &swarmapi.ListSecretsRequest{Filters: &swarmapi.ListSecretsRequest_Filters{Names: names, IDPrefixes: prefixes}})
			if err != nil {
				return nil, err
			}
			return r.Secrets, nil
		},
	}.find(input)
}

func findConfig(ctx context.Context, ctl swarmapi.ControlServer, input string) (*swarmapi.Config, error) {
	return finder[*swarmapi.Config]{
		what: "config",
		get: func(id string) (*swarmapi.Config, error) {
			r, err := ctl.GetConfig(ctx, &swarmapi.GetConfigRequest{ConfigID: id})
			if err != nil {
				return nil, err
			}
			return r.Config, nil
		},
		list: func(names, prefixes []string) ([]*swarmapi.Config, error) {
			r, err := ctl.ListConfigs(ctx, &swarmapi.ListConfigsRequest{Filters: &swarmapi.ListConfigsRequest_Filters{Names: names, IDPrefixes: prefixes}})
			if err != nil {
				return nil, err
			}
			return r.Configs, nil
		},
	}.find(input)
}

func findNetwork(ctx context.Context, ctl swarmapi.ControlServer, input string) (*swarmapi.Network, error) {
	return finder[*swarmapi.Network]{
		what: "network",
		get: func(id string) (*swarmapi.Network, error) {
			r, err := ctl.GetNetwork(ctx, &swarmapi.GetNetworkRequest{NetworkID: id})
			if err != nil {
				return nil, err
			}
			return r.Network, nil
		},
		list: func(names, prefixes []string) ([]*swarmapi.Network, error) {
			r, err := ctl.ListNetworks(ctx, &swarmapi.ListNetworksRequest{Filters: &swarmapi.ListNetworksRequest_Filters{Names: names, IDPrefixes: prefixes}})
			if err != nil {
				return nil, err
			}
			return r.Networks, nil
		},
	}.find(input)
}

// keyValues makes a map of the values of a filter, KEY or KEY=VALUE.
func keyValues(f filters.Args, key string) map[string]string {
	out := map[string]string{}
	for _, text := range f.Get(key) {
		k, v, _ := strings.Cut(text, "=")
		out[k] = v
	}
	return out
}

// enumFilter reads the values of a filter that are names of an enumeration.
func enumFilter[T ~int32](f filters.Args, key, what string, names map[string]int32) (all []T, err error) {
	for _, text := range f.Get(key) {
		if v, ok := names[strings.ToUpper(text)]; ok {
			all = append(all, T(v))
		} else if text != "" {
			return nil, invalid("Invalid %s filter: '%s'", what, text)
		}
	}
	return all, nil
}
