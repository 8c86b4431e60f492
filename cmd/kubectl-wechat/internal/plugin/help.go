// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// manual is what the help of a command says, in English; package text has it in Chinese.
type manual struct {
	short, long string
	examples    []example
	exits       [3]string // what the exit statuses 0, 1 and 2 mean; empty where the command has none such
}

// example is a command line with what it answers.
type example struct{ question, command string }

// Exit statuses that several commands share.
const (
	exitAccepted = "WeChat would accept the answer"
	exitRefused  = "WeChat would refuse it"
	exitUnknown  = "nothing is known: wrong arguments, no such endpoint, no token, interrupted"
)

const about = `kubectl wechat plays WeChat's server against a callback URL, opens what WeChat has sent, and says why WeChat
would refuse a URL.`

var initManual = manual{
	short: "make an endpoint and its Secret, with a new token and key",
	long: `Make an endpoint and its Secret, with a new token and, where messages are encrypted, a new EncodingAESKey. What no flag
says is asked for. Two files are written, NAME.yaml and NAME-secret.yaml, which only you can read; with --apply, the
objects are made in the cluster instead. What is there already is left alone.`,
	examples: []example{
		{"Ask for everything.", "kubectl wechat init"},
		{"An Official Account, at once.", "kubectl wechat init shop --platform OfficialAccount --app-id wx5823bf96d3bd56c7 --mode Encrypted --host wx.example.com --path /weixin --service shop-app --port 8080 --apply"},
		{"An account whose console has a token and key already.", "kubectl wechat init shop --token-file token.txt --encoding-aes-key-file key.txt"},
	},
	exits: [3]string{"the files are written, or the objects made", "", "nothing or not all is made: wrong arguments, there is one already, no rights"},
}

var consoleManual = manual{
	short: "say what to enter on which page of WeChat's console, in which order",
	long: `Say what to enter on which page of WeChat's console, in which order, and by which menus it is reached: now, and before
the consoles moved. It says, too, when it is too early to press the button. Tokens and keys are shown by --reveal, on a
terminal only; otherwise the commands are, which print them.`,
	examples: []example{
		{"What goes into the console for the endpoint shop?", "kubectl wechat console shop -n production"},
		{"The same with the token and the key.", "kubectl wechat console shop --reveal"},
	},
	exits: [3]string{"it is told, and the endpoint is ready for it", "it is told, and it is too early", "nothing is known: wrong arguments, no such endpoint, no rights"},
}

var listenManual = manual{
	short: "show verified messages as they come, and send copies to this computer",
	long: `Show the verified messages of an endpoint as they come, with what became of each, and what was refused. It reads the pods
through the API server, and proves to them that you have the endpoint's gateway key, which it reads from the Secret
NAME-gateway-key. It ends by itself, after an hour at the latest. No message waits for it: what it does not read fast
enough is left out, and counted.

With --forward-to, a program on this computer gets a copy of each message, with the same head as the app and a fresh
signature, which the app's own check takes. What it answers is only shown. With --take-user it answers WeChat for that
user: the sidecar waits for it for half of the time that the app has, and 2 seconds at most. Where it is slower, is away
or answers what WeChat would not take, the app gets the message, as ever; then both have seen it.

Messages are private. With --keep the pods keep them, as many as fit into half a MiB for 64 MiB of a pod's memory.`,
	examples: []example{
		{"What does WeChat send to the endpoint shop?", "kubectl wechat listen shop -n production"},
		{"Only subscriptions, with all that the app gets, for a program.", "kubectl wechat listen shop --event subscribe -o json"},
		{"Copies for a program on this computer, which answers one user.", "kubectl wechat listen shop --forward-to http://localhost:3000/weixin --take-user oABCDEFGHIJKLMNOPQRSTUVWXYZa"},
		{"Let the pods keep what comes in the next 30 minutes.", "kubectl wechat listen shop --keep 30m"},
	},
	exits: [3]string{"it was listened to the end, or until you pressed Ctrl-C", "something was missed: a pod was not listened to, or lines were left out", "nothing is known: wrong arguments, no such endpoint, no rights, no pod"},
}

var replayManual = manual{
	short: "send a kept message to this computer once more",
	long: `Send a message that the pods keep (kubectl wechat listen --keep) to a program on this computer, as the app got it and
with a fresh signature, and say whether WeChat would take the answer. WeChat and the app learn nothing of it. The
message is named by its delivery id, which kubectl wechat listen shows.`,
	examples: []example{
		{"That message once more.", "kubectl wechat replay 5f0c2a3be1a94d1f8f9b7a6c5d4e3f20 shop --to http://localhost:3000/weixin"},
	},
	exits: [3]string{"WeChat would take the answer", "WeChat would not, or there is none", "nothing is known: wrong arguments, no such endpoint, no rights, no such message"},
}

var logsManual = manual{
	short: "show what the sidecars refused and why, and what to do",
	long: `Show what the sidecars refused of an endpoint's callbacks and why, with what to do when it was WeChat's, and what else
they complained of: an app that is away, slow or answers what WeChat would not take. A log holds nothing of a message.`,
	examples: []example{{"Why do messages not arrive?", "kubectl wechat logs shop -n production --since 10m"}},
	exits:    [3]string{"nothing was refused", "something was refused", "nothing is known: wrong arguments, no such endpoint, no rights"},
}

var reportManual = manual{
	short: "write what somebody needs who is to help, without secrets",
	long: `Write an archive with what somebody needs who is to help: the endpoint and its status, its pods, events and logs, and the
diagnosis of kubectl wechat doctor. No token, key or message is in it; hosts, namespaces and ids of accounts are. Only
you can read the file.`,
	examples: []example{{"All about the endpoint shop.", "kubectl wechat report shop -n production"}},
	exits:    [3]string{"it is written", "", "it is not: wrong arguments, no such endpoint, no rights, there is such a file already"},
}

var statusManual = manual{
	short: "show an endpoint or a gateway at a glance, and what to do next",
	long: `Show an endpoint or a gateway at a glance: its URL and mode, its pods, when WeChat was last seen, its certificate, and
every condition with what to do about it. Without a name, a line for each of the namespace.`,
	examples: []example{
		{"Is the endpoint shop ready, and what is missing?", "kubectl wechat status shop -n production"},
		{"The same for a program, whose fields docs/plugin.md lists.", "kubectl wechat status shop -o json"},
		{"A gateway, with the nodes and images of its pods.", "kubectl wechat status --gateway front -o wide"},
	},
	exits: [3]string{"it is ready; without a name: all are", "it is not ready, or not known to be", "nothing is known: wrong arguments, no such endpoint, no rights"},
}

var dashboardManual = manual{
	short: "show endpoints and gateways on a page of this computer",
	long: `Show endpoints and gateways on a page that this computer alone can open: what is ready and what to do next, how many
messages come and how long their answers take, which credentials are accepted, and what to enter in the console. A test
message shows the whole round trip. Nothing is installed in the cluster: the page has your rights, and what you may not
read it says.

The URL that is printed holds the key to the page, anew with each run. Whoever has it can do with the page what you can.`,
	examples: []example{
		{"All endpoints of a namespace.", "kubectl wechat dashboard -n production"},
		{"Those of all namespaces, in the browser at once.", "kubectl wechat dashboard -A --open"},
		{"Test messages before the host is in DNS, by the address of the ingress controller.", "kubectl wechat dashboard --address 203.0.113.7:443"},
	},
	exits: [3]string{"it was shown until you ended it", "", "it cannot be shown: wrong arguments, no cluster, the port is taken"},
}

var doctorManual = manual{
	short: "tell every cause for which WeChat could refuse the URL, and what to do about each",
	long: `Tell every cause for which WeChat could refuse the URL of an endpoint, and what to do about each: what is found from
here (DNS, port, redirect, certificates, path, time, framing, clock), what the cluster says (conditions, Secret, pods,
Ingresses, IP lists, certificate), and what only WeChat sees. A half-made endpoint is no error.

It does the URL check, as kubectl wechat verify does, at each address of the host. What you may not read is left out,
and told.`,
	examples: []example{
		{"Why does the console say token验证失败?", "kubectl wechat doctor shop -n production"},
		{"The same before the host is in DNS, by the address of the ingress controller.", "kubectl wechat doctor shop --address 203.0.113.7:443"},
		{"For a program, whose causes docs/plugin.md lists.", "kubectl wechat doctor shop -o json"},
	},
	exits: [3]string{"nothing was found for which WeChat would refuse the URL", "WeChat would refuse it", "nothing is known: wrong arguments, no such endpoint, no rights, interrupted"},
}

var verifyManual = manual{
	short: "do the URL check of WeChat's console, and say why it would fail",
	long: `Do the URL check (服务器配置) of WeChat's console, and say whether WeChat would accept the URL.

The check is made from this computer. It cannot show whether the console holds the same token, and whether
WeChat's servers reach the URL from the internet: submitting the form in the console does. OpenPlatform and Pay
have no such check: see kubectl wechat send. It does not count as WeChat's use of new credentials: try it before
you press Save.`,
	examples: []example{
		{"Would WeChat accept the URL of the endpoint shop?", "kubectl wechat verify shop -n production"},
		{"The same before its host name is in DNS, by the address of the ingress controller.", "kubectl wechat verify shop -n production --address 203.0.113.7:443"},
		{"Any URL, with a token from standard input.", "pass wechat/token | kubectl wechat verify --url https://wx.example.com/weixin --token-file -"},
	},
	exits: [3]string{exitAccepted, exitRefused, exitUnknown},
}

var sendManual = manual{
	short: "send a signed message, as WeChat does to that platform, and judge the reply",
	long: `Send what WeChat sends to an account of that platform, signed and encrypted as it does, and judge the reply.

Each message is sent once; WeChat would send it up to three times. The app takes it for a real one, and does with
it whatever it does with messages: a ticket is a wrong one, until WeChat sends the next. The sidecar does not count
it as WeChat's use of new credentials: try it before you press Save. It tells what became of the message (and tells
WeChat nothing): an app that is away, slow or answers what WeChat would not take is named.

Scenarios, the default first:
  OfficialAccount, MiniProgram   text
  Shop                           order: the event of a new order
  WeCom                          text, bot (a text to an AI bot), suite-ticket
  OpenPlatform                   ticket, authorized, updateauthorized, unauthorized, text,
                                 release-check: what 全网发布检测 sends to the URL that holds $APPID$
  Pay                            payment, signtest: WeChat Pay's own probe, a wrong signature that must be refused

A payment is signed with an RSA key. WeChat Pay's own is nowhere but at WeChat Pay: make one with openssl genrsa
2048, and put its public half into the Secret of an endpoint for tests.`,
	examples: []example{
		{"What does the app behind the endpoint shop answer to 你好?", "kubectl wechat send shop -n production --text 你好"},
		{"Would a third-party platform pass the release check?", "kubectl wechat send platform --scenario release-check"},
		{"Does the endpoint of payments refuse a forged signature?", "kubectl wechat send pay --scenario signtest"},
	},
	exits: [3]string{exitAccepted, exitRefused, exitUnknown},
}

var openManual = manual{
	short: "decrypt a captured callback, and explain each step",
	long: `Open a callback that was captured in a log, a dump or a proxy's record, and explain each step: what was found,
what is wrong, what to do. The steps go to standard error, the message to standard output. Nothing is sent.

How old the callback is, is told and not refused. Without the query or the headers, a message is opened all the
same, but nothing shows who sent it. No token and no key is printed; the message is, which may be private.`,
	examples: []example{
		{"What did WeChat send here? The file holds the request line, the headers, an empty line and the body.", "kubectl wechat open shop -n production --request captured.http"},
		{"A body from standard input, with the line of the access log that belongs to it.",
			"kubectl wechat open shop --body - --query '/weixin?signature=…&timestamp=…&nonce=…&encrypt_type=aes&msg_signature=…'"},
	},
	exits: [3]string{"every step passed", "a step failed", "nothing is known: wrong arguments, no such endpoint, no token or key"},
}

var rotateManual = manual{
	short: "make a new token and key, and say when to enter them in the console",
	long: `Put a new token, and where messages are encrypted a new EncodingAESKey, into the Secret of an endpoint. When every
sidecar accepts them beside the earlier ones, say what to enter in the console. Nothing is lost until Save is
pressed, however long that takes, nor afterwards: the earlier values end credentials.overlap after WeChat was
first seen using the new ones. Where the sidecars would not get new values, as while spec.paused is true, nothing
is changed. The sidecars are the endpoint's own pods, or the pods of the WeChatGateway that it is on.`,
	examples: []example{
		{"A new token, because somebody left.", "kubectl wechat rotate shop -n production"},
		{"The token stood in a log: refuse it as soon as the console has another one.", "kubectl wechat rotate shop -n production --compromised"},
	},
	exits: [3]string{"the new values are served, and with --compromised every sidecar refuses the earlier ones",
		"the earlier values are still accepted, or may be, although they should not",
		"nothing is known: wrong arguments, no such endpoint, the sidecars do not serve the new values yet"},
}

var versionManual = manual{
	short: "print the versions of the plugin, the operator and the sidecars",
	long: `Print the versions of this plugin, the operator and the sidecars of a cluster. The images of their pods tell the last two.
What you may not see is left out.`,
	examples: []example{{"Which endpoints' pods have an older sidecar?", "kubectl wechat version --all-namespaces"}},
	exits:    [3]string{"it is printed", "", "the cluster cannot be asked"},
}

var completionManual = manual{
	short: "print the program with which kubectl completes the arguments of this plugin",
	long: `Print the program that kubectl looks for when you press Tab behind kubectl wechat. Put it into a folder of your PATH,
as kubectl_complete-wechat. It completes commands, flags, and the names of endpoints, gateways and namespaces, which
it asks the cluster for. A link of that name to kubectl-wechat itself does the same.`,
	examples: []example{{"Complete from now on.",
		"kubectl wechat completion > ~/.local/bin/kubectl_complete-wechat && chmod +x ~/.local/bin/kubectl_complete-wechat"}},
	exits: [3]string{"it is printed", "", ""},
}

// say is an English text in the plugin's language.
func (p Plugin) say(english string) string { return p.lang.Say(text.Verbatim(english)) }

// helpColumns is where the help breaks the lines of flags.
const helpColumns = 116

// helpOfAll is the help of the plugin.
func (p Plugin) helpOfAll(out io.Writer, table []command) {
	fmt.Fprintf(out, "%s\n\n%s\n", p.say(about), p.say("Usage:"))
	for _, one := range table {
		fmt.Fprintf(out, "  kubectl wechat %-11s %s\n", one.name, p.say(one.about.short))
	}
	fmt.Fprintf(out, "\n%s\n", p.say("kubectl wechat COMMAND --help tells more of each."))
}

// help is the help of a command.
func (p Plugin) help(out io.Writer, c *cobra.Command, one command) {
	fmt.Fprintf(out, "%s\n\n%s\n", p.say(one.about.long), p.say("Usage:"))
	for _, usage := range one.usage {
		fmt.Fprintln(out, strings.TrimRight("  kubectl wechat "+one.name+" "+usage, " ")+" [flags]")
	}
	fmt.Fprintf(out, "\n%s\n", p.say("Examples:"))
	for i, example := range one.about.examples {
		if i > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "  # %s\n  %s\n", p.say(example.question), example.command)
	}
	p.helpOfFlags(out, p.say("Flags:"), c.LocalNonPersistentFlags())
	p.helpOfFlags(out, p.say("Flags of every command:"), c.InheritedFlags())
	fmt.Fprintf(out, "\n%s\n", p.say("Exit status:"))
	for status, meaning := range one.about.exits {
		if meaning != "" {
			fmt.Fprintf(out, "  %d  %s\n", status, p.say(meaning))
		}
	}
}

// helpOfFlags breaks the lines of English, which has spaces to break them at.
func (p Plugin) helpOfFlags(out io.Writer, title string, flags *pflag.FlagSet) {
	columns := helpColumns
	if p.lang == text.Chinese {
		columns = 0
	}
	fmt.Fprintf(out, "\n%s\n%s", title, flags.FlagUsagesWrapped(columns))
}

// translateFlags puts what the flags are for into the plugin's language.
func (p Plugin) translateFlags(c *cobra.Command) {
	translate := func(flag *pflag.Flag) { flag.Usage = p.say(flag.Usage) }
	if !c.HasParent() {
		c.PersistentFlags().VisitAll(translate)
	}
	c.LocalNonPersistentFlags().VisitAll(translate)
	for _, child := range c.Commands() {
		p.translateFlags(child)
	}
}
