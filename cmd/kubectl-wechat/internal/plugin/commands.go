// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// The commands.
const (
	commandVerify  = "verify"
	commandSend    = "send"
	commandOpen    = "open"
	commandRotate  = "rotate"
	commandVersion = "version"
	commandStatus  = "status"
	commandDoctor  = "doctor"
	commandInit    = "init"
	commandConsole = "console"
	commandLogs    = "logs"
	commandReport  = "report"
	commandListen  = "listen"
	commandReplay  = "replay"

	commandDashboard  = "dashboard"
	commandCompletion = "completion"
)

// command is one command: what its help says, its flags, and what it does.
type command struct {
	name  string
	usage []string // what follows kubectl wechat NAME, a line for each way to call it
	about manual
	bind  func(*options, *pflag.FlagSet)
	// check refuses arguments before anything is done.
	check func(options) error
	run   func(Plugin, context.Context, options) (int, error)
	// complete proposes names; nil proposes none.
	complete cobra.CompletionFunc
}

// table are the commands, in the order of the help.
func (p Plugin) table(o *options) []command {
	endpoints := p.completeEndpoints(o)
	return []command{
		{commandInit, []string{"[NAME]"}, initManual, (*options).initFlags, options.validateInit, Plugin.initEndpoint, nil},
		{commandStatus, []string{"[NAME]", "--gateway NAME"}, statusManual, (*options).statusFlags, checkAll(options.validateStatus, options.validateOutput), Plugin.status, endpoints},
		{commandDashboard, []string{""}, dashboardManual, (*options).dashboardFlags, options.validateDashboard, Plugin.dashboard, nil},
		{commandDoctor, []string{"NAME", "--url URL --token-file FILE"}, doctorManual, (*options).doctorFlags, checkAll(options.validate, options.validateCall, options.validateOutput), Plugin.doctor, endpoints},
		{commandConsole, []string{"NAME"}, consoleManual, (*options).consoleFlags, options.validateName, Plugin.console, endpoints},
		{commandVerify, []string{"NAME", "--url URL --token-file FILE"}, verifyManual, (*options).verifyFlags, checkAll(options.validate, options.validateCall), Plugin.verify, endpoints},
		{commandSend, []string{"NAME [--scenario SCENARIO]", "--url URL --platform PLATFORM --token-file FILE"}, sendManual, (*options).sendFlags, checkAll(options.validate, options.validateCall), Plugin.send, endpoints},
		{commandOpen, []string{"NAME --request FILE", "NAME --body FILE [--query QUERY]", "--platform PLATFORM --token-file FILE --encoding-aes-key-file FILE --request FILE"}, openManual, (*options).openFlags, checkAll(options.validate, options.validateOpen), Plugin.open, endpoints},
		{commandRotate, []string{"NAME"}, rotateManual, (*options).rotateFlags, options.validateName, Plugin.rotate, endpoints},
		{commandListen, []string{"[NAME]", "[NAME] --forward-to URL [--take-user OPENID]"}, listenManual, (*options).listenFlags, options.validateListen, Plugin.listen, endpoints},
		{commandReplay, []string{"ID [NAME] --to URL"}, replayManual, (*options).replayFlags, options.validateReplay, Plugin.replay, nil},
		{commandLogs, []string{"NAME"}, logsManual, (*options).logsFlags, options.validateName, Plugin.logs, endpoints},
		{commandReport, []string{"NAME"}, reportManual, (*options).bundleFlags, checkAll(options.validateName, options.validate, options.validateCall), Plugin.bundle, endpoints},
		{commandVersion, []string{""}, versionManual, (*options).versionFlags, options.validateNoName, Plugin.version, nil},
		{commandCompletion, []string{""}, completionManual, nil, options.validateNoName, Plugin.completion, nil},
	}
}

func checkAll(checks ...func(options) error) func(options) error {
	return func(o options) error {
		for _, check := range checks {
			if err := check(o); err != nil {
				return err
			}
		}
		return nil
	}
}

// commands are the commands of cobra, and where the exit status of the one that is run will stand.
func (p Plugin) commands() (*cobra.Command, *int) {
	status, cluster := new(int), clusterFlags()
	root := &cobra.Command{
		Use:               "kubectl-wechat",
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl wechat"},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			*status = StatusUsage
			p.helpOfAll(p.Stderr, p.table(&options{}))
			return nil
		},
	}
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return seeHelp(c, flagError(c, err)) })
	flags := root.PersistentFlags()
	flags.SortFlags = false
	cluster.AddFlags(flags)
	flags.String("lang", "", "the language of what is printed: en or zh (default: what LC_ALL, LC_MESSAGES or LANG says)")
	o := &options{cluster: cluster}
	manuals := map[*cobra.Command]command{}
	table := p.table(o)
	for _, one := range table {
		child := p.command(o, one, status)
		manuals[child] = one
		root.AddCommand(child)
	}
	root.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true, Args: cobra.ArbitraryArgs, Run: func(c *cobra.Command, args []string) {
		if found, _, err := root.Find(args); err == nil && found != root {
			_ = found.Help()
			return
		}
		_ = root.Help()
	}})
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		if one, ok := manuals[c]; ok {
			p.help(p.Stdout, c, one)
			return
		}
		p.helpOfAll(p.Stdout, table)
	})
	p.completeFlags(root, o)
	p.translateFlags(root)
	return root, status
}

// command is one command. Running it sets the exit status.
func (p Plugin) command(o *options, one command, status *int) *cobra.Command {
	child := &cobra.Command{
		Use: one.name, Short: one.about.short, DisableFlagsInUseLine: true, Args: cobra.ArbitraryArgs, ValidArgsFunction: one.complete,
		RunE: func(c *cobra.Command, args []string) (err error) {
			if err = o.take(args); err == nil {
				err = one.check(*o)
			}
			if err != nil {
				return seeHelp(c, err)
			}
			*status, err = one.run(p, c.Context(), *o)
			return err
		},
	}
	if one.complete == nil {
		child.ValidArgsFunction = cobra.NoFileCompletions
	}
	child.Flags().SortFlags = false
	child.Flags().BoolP("help", "h", false, "say what the command does")
	// Commands have flags of the same names: each has options of its own until it is the one that is run.
	own := &options{}
	if one.bind != nil {
		one.bind(own, child.Flags())
	}
	child.PreRun = func(*cobra.Command, []string) {
		own.cluster, own.command = o.cluster, one.name
		*o = *own
	}
	return child
}

func seeHelp(c *cobra.Command, err error) error {
	return text.Errorf("%w (see %s --help)", err, c.CommandPath())
}

// unknownCommand proposes the commands that may have been meant. It does not quote the argument, which could be anything.
func unknownCommand(root *cobra.Command, name string) error {
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(name); len(near) > 0 {
		return seeHelp(root, text.Errorf("unknown command: did you mean %s?", fmt.Sprint(near)))
	}
	return seeHelp(root, text.Errorf("unknown command"))
}
