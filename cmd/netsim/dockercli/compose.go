package dockercli

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/command/stack/options"
	"github.com/docker/cli/cli/command/stack/swarm"
	"github.com/docker/cli/cli/compose/loader"
	"github.com/docker/cli/cli/compose/schema"
	"github.com/docker/cli/cli/compose/template"
	"github.com/docker/cli/cli/compose/types"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// stackDeploy is docker stack deploy, with the files and the variables of the host.
func (s *session) stackDeploy(cmd *cobra.Command, args []string) error {
	//lint:ignore SA1019 the version of docker is fixed
	opts := options.Deploy{Namespace: args[0]}
	if strings.Trim(opts.Namespace, " \t'\"") == "" {
		return fmt.Errorf("invalid stack name: %q", opts.Namespace)
	}
	flags := cmd.Flags()
	for name, to := range map[string]*bool{
		"with-registry-auth": &opts.SendRegistryAuth, "prune": &opts.Prune, "detach": &opts.Detach, "quiet": &opts.Quiet,
	} {
		on, err := flags.GetBool(name)
		if err != nil {
			return err
		}
		*to = on
	}
	var err error
	if opts.ResolveImage, err = flags.GetString("resolve-image"); err != nil {
		return err
	}
	details, err := s.compose(flags, true)
	if err != nil {
		return err
	}
	config, err := s.loadStack(details)
	if err != nil {
		return err
	}
	//lint:ignore SA1019 likewise
	return swarm.RunDeploy(cmd.Context(), s.cli, flags, &opts, config)
}

// stackConfig is docker stack config, likewise.
func (s *session) stackConfig(cmd *cobra.Command, _ []string) error {
	plain, err := cmd.Flags().GetBool("skip-interpolation")
	if err != nil {
		return err
	}
	details, err := s.compose(cmd.Flags(), !plain)
	if err != nil {
		return err
	}
	config, err := loader.Load(details, func(o *loader.Options) { o.SkipInterpolation = plain })
	if err != nil {
		return err
	}
	var text bytes.Buffer
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(2)
	if err := enc.Encode(config); err != nil {
		return err
	}
	_, err = text.WriteTo(s.cli.out)
	return err
}

// compose reads the files that a command names, in which the files of the host that they name are laid down.
func (s *session) compose(flags *pflag.FlagSet, interpolate bool) (types.ConfigDetails, error) {
	names, err := flags.GetStringSlice("compose-file")
	if err != nil {
		return types.ConfigDetails{}, err
	}
	if len(names) == 0 {
		return types.ConfigDetails{}, fmt.Errorf("%s", "Specify a Compose file (with --compose-file)")
	}
	details := types.ConfigDetails{WorkingDir: path.Join("/", path.Dir(names[0])), Environment: map[string]string{}}
	for _, kv := range s.call.Env {
		k, v, _ := strings.Cut(kv, "=")
		details.Environment[k] = v
	}
	f := composeFiles{session: s, dir: path.Dir(names[0]), interpolate: interpolate}
	for _, name := range names {
		config, err := s.readCompose(name)
		if err != nil {
			return details, err
		}
		if err := f.layDown(config); err != nil {
			return details, err
		}
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: name, Config: config})
	}
	details.Version = schema.Version(details.ConfigFiles[0].Config)
	return details, nil
}

func (s *session) readCompose(name string) (map[string]any, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(s.cli.in)
	} else {
		text, err = s.call.ReadFile(name)
	}
	if err != nil {
		return nil, err
	}
	return loader.ParseYAML(text)
}

// composeFiles lays down the files that a Compose file names.
type composeFiles struct {
	session     *session
	dir         string // what their names are relative to
	interpolate bool
}

func (f composeFiles) layDown(config map[string]any) error {
	for _, kind := range []string{"secrets", "configs"} {
		for _, o := range entries(config[kind]) {
			name, ok := o["file"].(string)
			if !ok {
				continue
			}
			file, err := f.file(name, f.session.stage)
			if err != nil {
				return err
			}
			o["file"] = file
		}
	}
	for _, service := range entries(config["services"]) {
		var names []any
		switch v := service["env_file"].(type) {
		case string:
			names = []any{v}
		case []any:
			names = slices.Clone(v)
		default:
			continue
		}
		for i, v := range names {
			name, ok := v.(string)
			if !ok {
				continue // docker tells what is wrong with it
			}
			file, err := f.file(name, f.session.stageEnv)
			if err != nil {
				return err
			}
			names[i] = file
		}
		service["env_file"] = names
	}
	return nil
}

// file lays down one file.
func (f composeFiles) file(name string, stage func(string) (string, error)) (string, error) {
	if f.interpolate {
		full, err := template.Substitute(name, f.session.lookup)
		if err != nil {
			return "", fmt.Errorf("file %q of the Compose file: %w", name, err)
		}
		name = full
	}
	if !path.IsAbs(name) {
		name = path.Join(f.dir, name)
	}
	file, err := stage(name)
	if f.interpolate {
		file = strings.ReplaceAll(file, "$", "$$") // it is interpolated once more
	}
	return file, err
}

// entries returns the objects of a part of a Compose file, in the order of their names.
func entries(section any) []map[string]any {
	all, _ := section.(map[string]any)
	var objects []map[string]any
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if o, ok := all[name].(map[string]any); ok {
			objects = append(objects, o)
		}
	}
	return objects
}

// loadStack makes the configuration of a stack, in docker's words.
func (s *session) loadStack(details types.ConfigDetails) (*types.Config, error) {
	var dicts []map[string]any
	for _, file := range details.ConfigFiles {
		dicts = append(dicts, file.Config)
	}
	config, err := loader.Load(details)
	if err != nil {
		if forbidden, ok := err.(*loader.ForbiddenPropertiesError); ok { //nolint:errorlint // it is never wrapped
			return nil, fmt.Errorf("%s:\n\n%s", "Compose file contains unsupported options", described(forbidden.Properties))
		}
		return nil, err
	}
	if all := loader.GetUnsupportedProperties(dicts...); len(all) > 0 {
		fmt.Fprintf(s.cli.err, "Ignoring unsupported options: %s\n\n", strings.Join(all, ", ")) //nolint:errcheck // nobody listens
	}
	if all := loader.GetDeprecatedProperties(dicts...); len(all) > 0 {
		fmt.Fprintf(s.cli.err, "Ignoring deprecated options:\n\n%s\n\n", described(all)) //nolint:errcheck // nobody listens
	}
	for _, service := range config.Services {
		if service.Image == "" {
			return nil, fmt.Errorf("invalid image reference for service %s: no image specified", service.Name)
		}
		if _, err := reference.ParseAnyReference(service.Image); err != nil {
			return nil, fmt.Errorf("invalid image reference for service %s: %w", service.Name, err)
		}
	}
	return config, nil
}

func described(properties map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		all = append(all, name+": "+properties[name])
	}
	return strings.Join(all, "\n\n")
}
