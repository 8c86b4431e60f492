// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	defaultText = "hello"
	defaultFrom = "oKubectlWechatPlaysThisUser0" // 28 characters, like every openid
)

// defaultRotation is how long rotate waits for the sidecars, which takes about a second.
const defaultRotation = time.Minute

// options are the arguments of a command.
type options struct {
	command, name                       string
	namespace, kubeconfig, context      string
	platform, receiverID, pathID        string
	tokenFile, aesKeyFile, apiV3KeyFile string

	url, address string // of verify and send
	timeout      time.Duration

	scenario, text, from  string // of send
	json                  bool
	payPrivateKey, serial string

	body, query, request string // of open

	compromised, show, yes, overwrite bool // of rotate

	client, allNamespaces bool // of version
}

var errToken = errors.New("a token or key is never taken as an argument, where the shell's history and every user of this computer can read it: " +
	"use --token-file FILE, --encoding-aes-key-file FILE or --api-v3-key-file FILE, or - in place of FILE to read standard input")

// parseOptions reads the arguments of a command. Flags may stand before and after the endpoint's name. Errors quote no
// argument that could be a token.
func parseOptions(command string, args []string) (options, error) {
	o := options{command: command}
	flags := o.flags()
	secret := false
	for _, name := range []string{"token", "encoding-aes-key", "api-v3-key"} {
		flags.BoolFunc(name, "", func(string) error { secret = true; return nil })
	}
	var names []string
	for rest := args; len(rest) > 0; {
		if err := flags.Parse(rest); err != nil {
			return options{}, seeHelp(command, err)
		}
		if secret {
			return options{}, errToken
		}
		if rest = flags.Args(); len(rest) > 0 {
			names, rest = append(names, rest[0]), rest[1:]
		}
	}
	if len(names) == 1 {
		o.name = names[0]
	}
	return o, seeHelp(command, o.validate(len(names)))
}

// flags are those of the command.
func (o *options) flags() *flag.FlagSet {
	flags := flag.NewFlagSet(o.command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	text := func(into *string, names ...string) {
		for _, name := range names {
			flags.StringVar(into, name, "", "")
		}
	}
	text(&o.namespace, "n", "namespace")
	text(&o.kubeconfig, "kubeconfig")
	text(&o.context, "context")
	if o.command == commandRotate {
		flags.BoolVar(&o.compromised, "compromised", false, "")
		flags.BoolVar(&o.show, "show", false, "")
		flags.BoolVar(&o.yes, "yes", false, "")
		flags.BoolVar(&o.overwrite, "overwrite", false, "")
		flags.DurationVar(&o.timeout, "timeout", defaultRotation, "")
		return flags
	}
	if o.command == commandVersion {
		flags.BoolVar(&o.client, "client", false, "")
		flags.BoolVar(&o.allNamespaces, "A", false, "")
		flags.BoolVar(&o.allNamespaces, "all-namespaces", false, "")
		return flags
	}
	text(&o.platform, "platform")
	text(&o.receiverID, "receiver-id")
	text(&o.tokenFile, "token-file")
	text(&o.aesKeyFile, "encoding-aes-key-file")
	text(&o.apiV3KeyFile, "api-v3-key-file")
	if o.command == commandOpen {
		text(&o.body, "body")
		text(&o.query, "query")
		text(&o.request, "request")
		return flags
	}
	text(&o.url, "url")
	text(&o.address, "address")
	text(&o.pathID, "path-id")
	flags.DurationVar(&o.timeout, "timeout", caller.Timeout, "")
	if o.command == commandSend {
		o.timeout = sendTimeout
		text(&o.scenario, "scenario")
		flags.StringVar(&o.text, "text", defaultText, "")
		flags.StringVar(&o.from, "from", defaultFrom, "")
		flags.BoolVar(&o.json, "json", false, "")
		text(&o.payPrivateKey, "pay-private-key")
		text(&o.serial, "serial")
	}
	return flags
}

// sendTimeout is longer than a sidecar waits for a slow app when somebody plays WeChat.
const sendTimeout = 20 * time.Second

func (o options) validate(names int) error {
	if names > 1 {
		return errors.New("more than one endpoint is named")
	}
	if o.name != "" && o.platform != "" {
		return errors.New("--platform is for what no endpoint says: leave it out, or the endpoint's name")
	}
	if _, err := parsePlatform(o.platform); err != nil {
		return err
	}
	if err := o.validateStdin(); err != nil {
		return err
	}
	switch {
	case o.command == commandOpen:
		return o.validateOpen()
	case o.command == commandVersion && o.name != "":
		return errors.New("it takes no name of an endpoint")
	case o.command == commandVersion:
		return nil
	case o.command == commandRotate && o.name == "":
		return errors.New("name an endpoint")
	case o.command == commandRotate:
		return nil
	}
	return o.validateCall()
}

func (o options) validateCall() error {
	switch {
	case o.name == "" && o.url == "":
		return errors.New("name an endpoint, or a URL with --url")
	case o.name == "" && o.tokenFile == "" && o.platform != platformPay:
		return errors.New("--url without an endpoint needs --token-file FILE, or --token-file - for standard input")
	case o.timeout <= 0:
		return errors.New("--timeout must be longer than 0")
	}
	if _, _, err := net.SplitHostPort(o.address); err != nil && o.address != "" {
		return errors.New("--address must be HOST:PORT, such as 203.0.113.7:443")
	}
	return nil
}

func (o options) validateOpen() error {
	switch {
	case o.name == "" && o.tokenFile+o.aesKeyFile+o.apiV3KeyFile == "":
		return errors.New("name an endpoint, or pass --platform and the files of its token and keys")
	case o.request != "" && o.body+o.query != "":
		return errors.New("--request holds the query and the body already: leave --query and --body out")
	case o.request+o.body+o.query == "":
		return errors.New("nothing to open: pass --request FILE, or --body FILE and perhaps --query QUERY")
	}
	return nil
}

// validateStdin refuses to read standard input twice.
func (o options) validateStdin() error {
	files := []string{o.tokenFile, o.aesKeyFile, o.apiV3KeyFile, o.payPrivateKey, o.body, o.request}
	if len(slices.DeleteFunc(files, func(path string) bool { return path != "-" })) > 1 {
		return errors.New("only one file can be -, standard input")
	}
	return nil
}

func seeHelp(command string, err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w (see kubectl wechat %s --help)", err, command)
}
