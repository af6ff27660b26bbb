package dockercli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Why commands are refused that would reach out of the lab.
const (
	noBuild    = "images cannot be built inside a lab; those that there are: docker images, and what docker run pulls"
	noRegistry = "inside a lab there is no registry to log in to or to sign for"
	noFiles    = "the file systems of containers are not kept inside a lab"
	noContext  = "inside a lab there is the context \"default\" alone"
)

// refused are the commands that would, by their paths without docker; a path stands for what is below it, too.
var refused = map[string]string{
	"build": noBuild, "bake": noBuild, "builder": noBuild, "image build": noBuild, "commit": noBuild, "container commit": noBuild,
	"login": noRegistry, "logout": noRegistry, "trust": noRegistry, "manifest": noRegistry, "plugin": noRegistry,
	"cp": noFiles, "container cp": noFiles, "export": noFiles, "container export": noFiles, "checkpoint": noFiles,
	"import": noFiles, "image import": noFiles, "load": noFiles, "image load": noFiles, "save": noFiles, "image save": noFiles,
	"context create": noContext, "context export": noContext, "context import": noContext, "context rm": noContext,
	"context update": noContext, "context use": noContext, "system dial-stdio": "inside a lab it has nothing to talk to",
}

// fileArgs are the commands whose argument of that index is a file that docker reads, by path.
var fileArgs = map[string]int{"config create": 1, "secret create": 1}

// adapt makes the commands the session's: none of them looks at the files, the environment or the signals of the process.
func (s *session) adapt(root *cobra.Command) {
	for _, cmd := range root.Commands() {
		s.adapt(cmd)
	}
	root.DisableFlagsInUseLine = true
	path := strings.TrimPrefix(root.CommandPath(), "docker ")
	if why := refusal(path); why != "" && root.RunE != nil {
		root.RunE = func(cmd *cobra.Command, _ []string) error { return fmt.Errorf("%s: %s", cmd.CommandPath(), why) }
		root.PersistentPreRunE = nil
	}
	switch path {
	case "stats", "container stats":
		root.RunE = s.stats
	case "stack deploy":
		root.RunE = s.stackDeploy
	case "stack config":
		root.RunE = s.stackConfig
	}
	if i, ok := fileArgs[path]; ok {
		run := root.RunE
		root.RunE = func(cmd *cobra.Command, args []string) error {
			file, err := s.stage(args[i])
			if err != nil {
				return err
			}
			args[i] = file
			return run(cmd, args)
		}
	}
	root.Flags().VisitAll(func(f *pflag.Flag) { s.adaptFlag(path, f) })
}

// refusal returns why a command is refused; "": it is not.
func refusal(path string) string {
	for p := path; p != ""; p = p[:max(strings.LastIndexByte(p, ' '), 0)] {
		if why := refused[p]; why != "" {
			return why
		}
	}
	return ""
}

// adaptFlag gives a flag the value that it has by default in a lab, or what is around it.
func (s *session) adaptFlag(path string, f *pflag.Flag) {
	switch f.Name {
	case "sig-proxy": // Ctrl-C is passed on as the session hears of it
		_ = f.Value.Set("false") // a boolean
	case "disable-content-trust":
		_ = f.Value.Set("true") // likewise
	case "platform":
		f.DefValue = ""
		_ = f.Value.Set("") // a string
	case "cidfile":
		f.Value = refusedValue{f.Value, "inside a lab a container's id is what docker run -d prints"}
	case "use-api-socket":
		f.Value = refusedValue{f.Value, "inside a lab there are no sockets in containers"}
	case "env":
		if last := path[strings.LastIndexByte(path, ' ')+1:]; last == "run" || last == "create" || last == "exec" {
			f.Value = envValue{f.Value, s}
			s.completeEnv(f)
		}
	case "env-add":
		f.Value = envValue{f.Value, s}
		s.completeEnv(f)
	case "env-file":
		f.Value = fileValue{f.Value, s.stageEnv}
	case "label-file", "ca-cert", "ca-key":
		f.Value = fileValue{f.Value, s.stage}
	case "external-ca":
		f.Value = caValue{f.Value, s}
	case "security-opt":
		f.Value = seccompValue{f.Value, s}
	}
}

// refusedValue is a flag that cannot be set.
type refusedValue struct {
	pflag.Value
	why string
}

// Set implements pflag.Value.
func (v refusedValue) Set(string) error { return fmt.Errorf("%s", v.why) }
