// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

const (
	defaultText = "hello"
	defaultFrom = "oKubectlWechatPlaysThisUser0" // 28 characters, like every openid
)

// options are the arguments of a command.
type options struct {
	name                           string
	namespace, kubeconfig, context string
	url, tokenFile, address        string
	timeout                        time.Duration
	text, from                     string
}

var errToken = errors.New("a token is never taken as an argument, where the shell's history and every user of this computer can read it: use --token-file FILE, or --token-file - to read standard input")

// parseOptions reads the arguments of the command that is called name. Flags may stand before and after the endpoint's
// name. Errors quote no argument that could be a token.
func parseOptions(name string, args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.namespace, "n", "", "")
	flags.StringVar(&o.namespace, "namespace", "", "")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "")
	flags.StringVar(&o.context, "context", "", "")
	flags.StringVar(&o.url, "url", "", "")
	flags.StringVar(&o.tokenFile, "token-file", "", "")
	flags.StringVar(&o.address, "address", "", "")
	flags.DurationVar(&o.timeout, "timeout", wechattest.Timeout, "")
	if name == "send" {
		flags.StringVar(&o.text, "text", defaultText, "")
		flags.StringVar(&o.from, "from", defaultFrom, "")
	}
	token := false
	flags.BoolFunc("token", "", func(string) error { token = true; return nil })

	var names []string
	for rest := args; len(rest) > 0; {
		if err := flags.Parse(rest); err != nil {
			return options{}, seeHelp(name, err)
		}
		if token {
			return options{}, errToken
		}
		if rest = flags.Args(); len(rest) > 0 {
			names, rest = append(names, rest[0]), rest[1:]
		}
	}
	if len(names) == 1 {
		o.name = names[0]
	}
	return o, seeHelp(name, o.validate(len(names)))
}

func (o options) validate(names int) error {
	switch {
	case names > 1:
		return errors.New("more than one endpoint is named")
	case names == 0 && o.url == "":
		return errors.New("name an endpoint, or a URL with --url")
	case names == 0 && o.tokenFile == "":
		return errors.New("--url without an endpoint needs --token-file FILE, or --token-file - for standard input")
	case o.timeout <= 0:
		return errors.New("--timeout must be longer than 0")
	}
	if _, _, err := net.SplitHostPort(o.address); err != nil && o.address != "" {
		return errors.New("--address must be HOST:PORT, such as 203.0.113.7:443")
	}
	return nil
}

func seeHelp(name string, err error) error {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("%w (see kubectl wechat %s --help)", err, name)
}
