package dockercli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/cli/cli/command"
	"github.com/docker/docker/api/types/versions"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// engine is what commands and flags ask of an engine in their annotations. The engine is asked only by those that have some.
type engine interface {
	CurrentVersion() string
	ServerInfo() command.ServerInfo
}

func joined(words []string) string { return strings.Join(words, " ") }

// supported tells what a command, or one of its flags, asks of the engine that it has not, in docker's words.
func supported(cmd *cobra.Command, e engine) error {
	for c := cmd; c != nil; c = c.Parent() {
		if err := commandSupported(c, cmd.CommandPath(), e); err != nil {
			return err
		}
	}
	var all []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed && len(f.Annotations) > 0 {
			all = append(all, flagSupported(f, e))
		}
	})
	return errors.Join(all...)
}

func commandSupported(c *cobra.Command, path string, e engine) error {
	if v, ok := c.Annotations["version"]; ok && versions.LessThan(e.CurrentVersion(), v) {
		return fmt.Errorf("%s requires API version %s, but the Docker daemon API version is %s", path, v, e.CurrentVersion())
	}
	if os, ok := c.Annotations["ostype"]; ok && wrongOS(os, e) {
		return fmt.Errorf("%s is only supported on a Docker daemon running on %s, but the Docker daemon is running on %s",
			path, os, e.ServerInfo().OSType)
	}
	if _, ok := c.Annotations["experimental"]; ok && !e.ServerInfo().HasExperimental {
		return fmt.Errorf("%s is only supported on a Docker daemon with experimental features enabled", path)
	}
	return nil
}

func flagSupported(f *pflag.Flag, e engine) error {
	if v := note(f, "version"); v != "" && versions.LessThan(e.CurrentVersion(), v) {
		return fmt.Errorf(`"--%s" requires API version %s, but the Docker daemon API version is %s`, f.Name, v, e.CurrentVersion())
	}
	if os := note(f, "ostype"); wrongOS(os, e) {
		return fmt.Errorf(`"--%s" is only supported on a Docker daemon running on %s, but the Docker daemon is running on %s`,
			f.Name, os, e.ServerInfo().OSType)
	}
	if _, ok := f.Annotations["experimental"]; ok && !e.ServerInfo().HasExperimental {
		return fmt.Errorf(`"--%s" is only supported on a Docker daemon with experimental features enabled`, f.Name)
	}
	return nil
}

func note(f *pflag.Flag, name string) string {
	if v := f.Annotations[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func wrongOS(os string, e engine) bool {
	return os != "" && e.ServerInfo().OSType != "" && os != e.ServerInfo().OSType
}

// hideUnsupported hides the flags and commands that ask of the engine what it has not.
func hideUnsupported(cmd *cobra.Command, e engine) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if top, ok := f.Annotations["top-level"]; ok && cmd.Parent() != nil && !below(cmd, top) {
			f.Hidden = true
		}
		f.Hidden = f.Hidden || hidden(func(name string) (string, bool) {
			_, ok := f.Annotations[name]
			return note(f, name), ok
		}, e)
	})
	for _, c := range cmd.Commands() {
		c.Hidden = c.Hidden || hidden(func(name string) (string, bool) {
			v, ok := c.Annotations[name]
			return v, ok
		}, e)
	}
}

// hidden tells whether annotations ask for what the engine has not.
func hidden(note func(name string) (string, bool), e engine) bool {
	if _, ok := note("experimental"); ok && !e.ServerInfo().HasExperimental {
		return true
	}
	if os, ok := note("ostype"); ok && wrongOS(os, e) {
		return true
	}
	if v, ok := note("version"); ok && versions.LessThan(e.CurrentVersion(), v) {
		return true
	}
	need, ok := note("swarm")
	swarm := e.ServerInfo().SwarmStatus
	switch {
	case !ok || swarm == nil:
		return false
	case need == "manager":
		return !swarm.ControlAvailable
	case need == "active":
		return swarm.NodeState == "inactive"
	}
	return false
}

// below tells whether a command is one of those named, or is under one.
func below(cmd *cobra.Command, names []string) bool {
	for c := cmd; c != nil; c = c.Parent() {
		if slices.Contains(names, c.Name()) {
			return true
		}
	}
	return false
}
