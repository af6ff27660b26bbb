package dockercli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync"

	"github.com/docker/cli/cli"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/command/commands"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/version"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// configDir is where the host's docker would look for its configuration. It is only shown.
const configDir = "/root/.docker"

// widthNote is the annotation of a root command that says how wide its help is.
const widthNote = "netsim.width"

// look is what all calls share of docker's looks. It is made once, for making it writes to variables of the process.
var look = sync.OnceValue(func() (shared struct{ usage, help, version string }) {
	config.SetDir(configDir)
	version.Version, version.GitCommit = cliVersion, cliCommit
	logrus.SetOutput(io.Discard)
	root := &cobra.Command{Use: "docker"}
	cli.SetupRootCommand(root)
	cobra.AddTemplateFunc("wrappedFlagUsages", func(c *cobra.Command) string {
		width, err := strconv.Atoi(c.Root().Annotations[widthNote])
		if err != nil {
			width = plainCols
		}
		return c.Flags().FlagUsagesWrapped(width - 1)
	})
	shared.usage, shared.help, shared.version = root.UsageTemplate(), root.HelpTemplate(), root.VersionTemplate()
	return shared
})

// command returns the tree of docker's commands.
func (s *session) command() *cobra.Command {
	shared := look()
	root := &cobra.Command{
		Use: "docker [OPTIONS] COMMAND [ARG...]", Short: "A self-sufficient runtime for containers",
		SilenceUsage: true, SilenceErrors: true, TraverseChildren: true, DisableFlagsInUseLine: true,
		Version:           fmt.Sprintf("%s, build %s", version.Version, version.GitCommit),
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return command.ShowHelp(s.cli.err)(cmd, args)
			}
			return fmt.Errorf("docker: unknown command: docker %s\n\nRun 'docker --help' for more information", args[0])
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return supported(cmd, s.cli) },
		Annotations: map[string]string{
			"additionalHelp": "For more help on how to use Docker, head to https://docs.docker.com/go/guides/",
			widthNote:        strconv.Itoa(s.term.width()),
		},
	}
	root.SetIn(s.cli.in)
	root.SetOut(s.cli.out)
	root.SetErr(s.cli.err)
	s.opts.InstallFlags(root.Flags())
	root.SetUsageTemplate(shared.usage)
	root.SetHelpTemplate(shared.help)
	root.SetVersionTemplate(shared.version)
	root.SetFlagErrorFunc(s.flagError)
	root.SetHelpCommand(helpCommand())
	root.PersistentFlags().BoolP("help", "h", false, "Print usage")
	_ = root.PersistentFlags().MarkShorthandDeprecated("help", "use --help") // it was just made
	root.PersistentFlags().Lookup("help").Hidden = true
	root.Flags().BoolP("version", "v", false, "Print version information and quit")
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) { s.help(help, cmd, args) })
	commands.AddCommands(root, s.cli)
	s.adapt(root)
	return root
}

// helpCommand is docker's help command. Its own is one variable for all.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [command]", Short: "Help about the command",
		PersistentPreRun: func(*cobra.Command, []string) {}, PersistentPostRun: func(*cobra.Command, []string) {},
		RunE: func(c *cobra.Command, args []string) error {
			cmd, rest, err := c.Root().Find(args)
			if cmd == nil || err != nil || len(rest) > 0 {
				return fmt.Errorf("unknown help topic: %v", joined(args))
			}
			cmd.HelpFunc()(cmd, rest)
			return nil
		},
	}
}

// flagError is what docker says of a mistake in the flags.
func (s *session) flagError(cmd *cobra.Command, err error) error {
	if err := supported(cmd, s.cli); err != nil {
		return err
	}
	hideUnsupported(cmd, s.cli)
	return cli.FlagErrorFunc(cmd, err)
}

// help shows the help of a command, without what the engine does not have.
func (s *session) help(show func(*cobra.Command, []string), cmd *cobra.Command, args []string) {
	if bake, _, err := cmd.Root().Find([]string{"bake"}); err == nil {
		bake.Hidden = true // it is buildx's
	}
	if err := supported(cmd, s.cli); err != nil {
		cmd.Println(err)
		return
	}
	hideUnsupported(cmd, s.cli)
	show(cmd, args)
}

// execute runs the command line.
func (s *session) execute(ctx context.Context, root *cobra.Command) error {
	args, err := s.globalFlags(root)
	if err != nil {
		return err
	}
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}

// globalFlags reads the flags in front of the command and returns what follows them.
func (s *session) globalFlags(root *cobra.Command) ([]string, error) {
	flags := pflag.NewFlagSet(root.Name(), pflag.ContinueOnError)
	flags.SetOutput(s.call.Err)
	flags.SetInterspersed(false) // they end where the command begins
	flags.AddFlagSet(root.Flags())
	flags.AddFlagSet(root.PersistentFlags())
	if err := flags.Parse(s.call.Args[1:]); err != nil {
		return nil, root.FlagErrorFunc()(root, err)
	}
	if err := s.checkContext(); err != nil {
		return nil, err
	}
	if err := s.checkHost(); err != nil {
		return nil, err
	}
	return flags.Args(), nil
}
