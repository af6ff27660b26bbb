package api

import (
	"context"
	"net/http"

	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/daemon/cluster/convert"
	swarmapi "github.com/moby/swarmkit/v2/api"
)

// secretList answers docker secret ls.
func (c *call) secretList(ctx context.Context, ctl swarmapi.ControlServer) error {
	f, err := c.filters("id", "label", "name", "names")
	if err != nil {
		return err
	}
	r, err := ctl.ListSecrets(ctx, &swarmapi.ListSecretsRequest{Filters: &swarmapi.ListSecretsRequest_Filters{
		Names: f.Get("names"), NamePrefixes: f.Get("name"), IDPrefixes: f.Get("id"), Labels: keyValues(f, "label"),
	}})
	if err != nil {
		return err
	}
	all := make([]swarm.Secret, 0, len(r.Secrets))
	for _, s := range r.Secrets {
		all = append(all, convert.SecretFromGRPC(s))
	}
	return c.json(http.StatusOK, all)
}

// secretCreate answers docker secret create.
func (c *call) secretCreate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.SecretSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	if spec.Templating != nil && c.version < version137 {
		return invalid("secret templating is not supported on the specified API version: 1.%d", c.version)
	}
	to := convert.SecretSpecToGRPC(spec)
	r, err := ctl.CreateSecret(ctx, &swarmapi.CreateSecretRequest{Spec: &to})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, swarm.SecretCreateResponse{ID: r.Secret.ID})
}

// secretInspect answers docker secret inspect. What is secret is not in it.
func (c *call) secretInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	s, err := findSecret(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, convert.SecretFromGRPC(s))
}

// secretRemove answers docker secret rm.
func (c *call) secretRemove(ctx context.Context, ctl swarmapi.ControlServer) error {
	s, err := findSecret(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	if _, err := ctl.RemoveSecret(ctx, &swarmapi.RemoveSecretRequest{SecretID: s.ID}); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// secretUpdate changes the labels of a secret.
func (c *call) secretUpdate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.SecretSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	version, err := c.objectVersion("secret")
	if err != nil {
		return err
	}
	s, err := findSecret(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	to := convert.SecretSpecToGRPC(spec)
	if _, err := ctl.UpdateSecret(ctx, &swarmapi.UpdateSecretRequest{SecretID: s.ID, SecretVersion: version, Spec: &to}); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}

// configList answers docker config ls.
func (c *call) configList(ctx context.Context, ctl swarmapi.ControlServer) error {
	f, err := c.filters("id", "label", "name")
	if err != nil {
		return err
	}
	r, err := ctl.ListConfigs(ctx, &swarmapi.ListConfigsRequest{Filters: &swarmapi.ListConfigsRequest_Filters{
		NamePrefixes: f.Get("name"), IDPrefixes: f.Get("id"), Labels: keyValues(f, "label"),
	}})
	if err != nil {
		return err
	}
	all := make([]swarm.Config, 0, len(r.Configs))
	for _, v := range r.Configs {
		all = append(all, convert.ConfigFromGRPC(v))
	}
	return c.json(http.StatusOK, all)
}

// configCreate answers docker config create.
func (c *call) configCreate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.ConfigSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	if spec.Templating != nil && c.version < version137 {
		return invalid("config templating is not supported on the specified API version: 1.%d", c.version)
	}
	to := convert.ConfigSpecToGRPC(spec)
	r, err := ctl.CreateConfig(ctx, &swarmapi.CreateConfigRequest{Spec: &to})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, swarm.ConfigCreateResponse{ID: r.Config.ID})
}

// configInspect answers docker config inspect.
func (c *call) configInspect(ctx context.Context, ctl swarmapi.ControlServer) error {
	v, err := findConfig(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, convert.ConfigFromGRPC(v))
}

// configRemove answers docker config rm.
func (c *call) configRemove(ctx context.Context, ctl swarmapi.ControlServer) error {
	v, err := findConfig(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	if _, err := ctl.RemoveConfig(ctx, &swarmapi.RemoveConfigRequest{ConfigID: v.ID}); err != nil {
		return err
	}
	return c.status(http.StatusNoContent)
}

// configUpdate changes the labels of a config.
func (c *call) configUpdate(ctx context.Context, ctl swarmapi.ControlServer) error {
	var spec swarm.ConfigSpec
	if err := c.decode(&spec); err != nil {
		return err
	}
	version, err := c.objectVersion("config")
	if err != nil {
		return err
	}
	v, err := findConfig(ctx, ctl, c.name)
	if err != nil {
		return err
	}
	to := convert.ConfigSpecToGRPC(spec)
	if _, err := ctl.UpdateConfig(ctx, &swarmapi.UpdateConfigRequest{ConfigID: v.ID, ConfigVersion: version, Spec: &to}); err != nil {
		return err
	}
	return c.status(http.StatusOK)
}
