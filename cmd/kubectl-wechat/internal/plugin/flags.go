// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

const (
	defaultText = "hello"
	defaultFrom = "oKubectlWechatPlaysThisUser0" // 28 characters, like every openid
)

// defaultRotation is how long rotate waits for the sidecars, which takes about a second.
const defaultRotation = time.Minute

// sendTimeout is longer than a sidecar waits for a slow app when somebody plays WeChat.
const sendTimeout = 20 * time.Second

// options are the arguments of a command.
type options struct {
	command, name                       string
	cluster                             *genericclioptions.ConfigFlags
	platform, receiverID, pathID        string
	tokenFile, aesKeyFile, apiV3KeyFile string

	url, address string // of verify and send
	timeout      time.Duration

	scenario, text, from  string // of send
	json                  bool
	payPrivateKey, serial string

	body, query, request string // of open

	compromised, show, yes, overwrite bool // of rotate

	client, allNamespaces bool // of version; the latter of dashboard, too

	localPort uint16 // of dashboard
	openPage  bool

	output, gateway string // of status and others

	delivery                        string // of replay
	forwardTo                       string // of listen and replay
	events, types, users, takeUsers []string
	keep, duration                  time.Duration

	since time.Duration // of logs and report
	file  string        // of report

	appID, mode, host, path, service, port                         string // of init
	ingressClass, tlsSecret, directory, publicKeyFile, publicKeyID string
	apply                                                          bool
}

// clusterFlags are kubectl's own flags, as far as they have a meaning here. Not among them is --token, kubectl's bearer token: a token
// is WeChat's here, and never an argument.
func clusterFlags() *genericclioptions.ConfigFlags {
	flags := genericclioptions.NewConfigFlags(true)
	timeout := apiTimeout.String()
	flags.Timeout = &timeout
	flags.BearerToken, flags.CacheDir, flags.APIServer, flags.TLSServerName, flags.Insecure = nil, nil, nil, nil, nil
	flags.CertFile, flags.KeyFile, flags.CAFile, flags.DisableCompression, flags.ProxyURL, flags.ImpersonateUserExtra = nil, nil, nil, nil, nil, nil
	return flags
}

// secretFlags say where tokens and keys come from.
func (o *options) secretFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.platform, "platform", "", "without an endpoint: OfficialAccount (default), MiniProgram, Shop, WeCom, OpenPlatform or Pay")
	flags.StringVar(&o.receiverID, "receiver-id", "", "whom messages are encrypted for: AppID, CorpID or suite's `ID`; for Pay the merchant id (default: the first of the endpoint's receiverIDs, or its appID)")
	flags.StringVar(&o.tokenFile, "token-file", "", "read the token from `FILE`, or from standard input if FILE is -, in place of the Secret that the endpoint names (which needs the right to get it); one newline at its end is left out")
	flags.StringVar(&o.aesKeyFile, "encoding-aes-key-file", "", "likewise the EncodingAESKey, from `FILE`")
	flags.StringVar(&o.apiV3KeyFile, "api-v3-key-file", "", "likewise the APIv3 key of Pay, from `FILE`")
}

// callFlags say what is called.
func (o *options) callFlags(flags *pflag.FlagSet, timeout time.Duration) {
	flags.StringVar(&o.url, "url", "", "call this `URL` in place of the endpoint's")
	flags.StringVar(&o.pathID, "path-id", "", "the `ID` that stands in the URL in place of $APPID$ or $CORPID$")
	flags.StringVar(&o.address, "address", "", "connect to this `HOST:PORT`, without looking the URL's host up in DNS")
	flags.DurationVar(&o.timeout, "timeout", timeout, "how long to wait for the answer; WeChat waits 5s")
}

func (o *options) verifyFlags(flags *pflag.FlagSet) {
	o.secretFlags(flags)
	o.callFlags(flags, caller.Timeout)
}

func (o *options) sendFlags(flags *pflag.FlagSet) {
	o.secretFlags(flags)
	o.callFlags(flags, sendTimeout)
	flags.StringVar(&o.scenario, "scenario", "", "what to play")
	flags.StringVar(&o.text, "text", defaultText, "what the user writes")
	flags.StringVar(&o.from, "from", defaultFrom, "the user's `OPENID`")
	flags.BoolVar(&o.json, "json", false, "a Mini Program whose console says JSON (数据格式)")
	flags.StringVar(&o.payPrivateKey, "pay-private-key", "", "the `FILE` with the RSA key that signs a payment, in PEM")
	flags.StringVar(&o.serial, "serial", "", "without an endpoint: the serial by which the server knows that key")
}

func (o *options) openFlags(flags *pflag.FlagSet) {
	o.secretFlags(flags)
	flags.StringVar(&o.request, "request", "", "a `FILE` with a whole HTTP request, or - for standard input")
	flags.StringVar(&o.body, "body", "", "a `FILE` with a body alone, or - for standard input")
	flags.StringVar(&o.query, "query", "", "a query, a URL, or a line of an access log")
}

func (o *options) rotateFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.compromised, "compromised", false, "after Save, refuse the earlier values at once (spec.credentials.revokeBefore)")
	flags.BoolVar(&o.yes, "yes", false, "with --compromised, do not ask whether Save was pressed")
	flags.BoolVar(&o.overwrite, "overwrite", false, "change the Secret although an ExternalSecret, Argo CD, Flux or helm writes it")
	flags.BoolVar(&o.show, "show", false, "print the new values, in place of the commands that print them")
	flags.DurationVar(&o.timeout, "timeout", defaultRotation, "how long to wait for the sidecars, each time")
}

func (o *options) versionFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.client, "client", false, "only the plugin's own; no cluster is asked")
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "the sidecars of all namespaces, in place of one")
}

func (o *options) dashboardFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "show what is in all namespaces, in place of one")
	flags.Uint16Var(&o.localPort, "port", 0, "the port of this computer (default: any that is free)")
	flags.BoolVar(&o.openPage, "open", false, "open the page in the browser of this computer")
	flags.StringVar(&o.address, "address", "", "connect to this `HOST:PORT` for test messages, without looking the URL's host up in DNS")
}

func (o *options) consoleFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&o.show, "reveal", false, "show the token and the key, on a terminal only, in place of the commands that print them")
}

func (o *options) logsFlags(flags *pflag.FlagSet) {
	flags.DurationVar(&o.since, "since", time.Hour, "how far to look back")
}

func (o *options) listenFlags(flags *pflag.FlagSet) {
	flags.StringArrayVar(&o.events, "event", nil, "only messages with this Event or InfoType; may be repeated")
	flags.StringArrayVar(&o.types, "type", nil, "only messages with this MsgType; may be repeated")
	flags.StringArrayVar(&o.users, "user", nil, "only messages of the user with this `OPENID`; may be repeated")
	flags.StringVar(&o.forwardTo, "forward-to", "", "send a copy of each message to this `URL`, with the head and the signature that the app gets; what it answers is only shown")
	flags.StringArrayVar(&o.takeUsers, "take-user", nil, "with --forward-to, let that URL answer WeChat for the user with this `OPENID`, in place of the app; may be repeated")
	flags.DurationVar(&o.keep, "keep", 0, "let the pods keep messages for so long, for kubectl wechat replay; 1h at most")
	flags.DurationVar(&o.duration, "for", time.Hour, "for how long to listen; 1h at most")
	flags.StringVarP(&o.output, "output", "o", "", "json: a line for each thing that a pod tells; wide: with the bodies")
}

func (o *options) replayFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.forwardTo, "to", "", "the `URL` to which the message is sent")
}

func (o *options) bundleFlags(flags *pflag.FlagSet) {
	o.verifyFlags(flags)
	flags.DurationVar(&o.since, "since", 24*time.Hour, "how far to look back in the logs")
	flags.StringVar(&o.file, "file", "", "write to this `FILE` (default: wechat-report-NAMESPACE-NAME.tar.gz)")
}

func (o *options) initFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.platform, "platform", "", "OfficialAccount, MiniProgram, Shop, WeCom, OpenPlatform or Pay")
	flags.StringVar(&o.appID, "app-id", "", "the AppID of the console; for WeCom the CorpID, for Pay the merchant id")
	flags.StringVar(&o.mode, "mode", "", "the message mode of the console: Plaintext, Compatible or Encrypted")
	flags.StringVar(&o.host, "host", "", "the host name of the URL, such as wx.example.com")
	flags.StringVar(&o.path, "path", "", "the path of the URL")
	flags.StringVar(&o.service, "service", "", "the Service of the app")
	flags.StringVar(&o.port, "port", "", "its port, by number or name")
	flags.StringVar(&o.ingressClass, "ingress-class", "", "the IngressClass (default: the cluster's)")
	flags.StringVar(&o.tlsSecret, "tls-secret", "", "the Secret with the certificate of the host, for https")
	flags.StringVar(&o.gateway, "gateway", "", "let the pods of the WeChatGateway of this `NAME` serve it")
	flags.StringVar(&o.tokenFile, "token-file", "", "take the token that the console has from `FILE`, or from standard input if FILE is -, in place of a new one")
	flags.StringVar(&o.aesKeyFile, "encoding-aes-key-file", "", "likewise the EncodingAESKey, from `FILE`")
	flags.StringVar(&o.apiV3KeyFile, "api-v3-key-file", "", "likewise the APIv3 key of Pay, from `FILE`")
	flags.StringVar(&o.publicKeyFile, "public-key-file", "", "WeChat Pay's public key, from `FILE`")
	flags.StringVar(&o.publicKeyID, "public-key-id", "", "the `ID` of WeChat Pay's public key")
	flags.StringVar(&o.directory, "dir", ".", "write the files into this folder")
	flags.BoolVar(&o.apply, "apply", false, "make the objects in the cluster, and write no files")
}

func (o *options) doctorFlags(flags *pflag.FlagSet) {
	o.verifyFlags(flags)
	flags.StringVarP(&o.output, "output", "o", "", "json or yaml")
}

func (o *options) statusFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.gateway, "gateway", "", "show the WeChatGateway of this `NAME`, in place of an endpoint")
	flags.StringVarP(&o.output, "output", "o", "", "json, yaml or wide")
}

// take puts the names into the options. Errors quote no argument that could be a token.
func (o *options) take(names []string) error {
	if o.command == commandReplay {
		if len(names) == 0 {
			return text.Errorf("name the message by its delivery id, which kubectl wechat listen shows")
		}
		o.delivery, names = names[0], names[1:]
	}
	if len(names) > 1 {
		return text.Errorf("more than one endpoint is named")
	}
	if len(names) == 1 {
		o.name = names[0]
	}
	return nil
}

// validate checks what every command has that takes tokens and keys.
func (o options) validate() error {
	if o.name != "" && o.platform != "" {
		return text.Errorf("--platform is for what no endpoint says: leave it out, or the endpoint's name")
	}
	if _, err := parsePlatform(o.platform); err != nil {
		return err
	}
	return o.validateStdin()
}

func (o options) validateCall() error {
	switch {
	case o.name == "" && o.url == "":
		return text.Errorf("name an endpoint, or a URL with --url")
	case o.name == "" && o.tokenFile == "" && o.platform != platformPay:
		return text.Errorf("--url without an endpoint needs --token-file FILE, or --token-file - for standard input")
	case o.timeout <= 0:
		return text.Errorf("--timeout must be longer than 0")
	}
	return o.validateAddress()
}

func (o options) validateAddress() error {
	if _, _, err := net.SplitHostPort(o.address); err != nil && o.address != "" {
		return text.Errorf("--address must be HOST:PORT, such as 203.0.113.7:443")
	}
	return nil
}

func (o options) validateDashboard() error {
	if err := o.validateNoName(); err != nil {
		return err
	}
	return o.validateAddress()
}

func (o options) validateOpen() error {
	switch {
	case o.name == "" && o.tokenFile+o.aesKeyFile+o.apiV3KeyFile == "":
		return text.Errorf("name an endpoint, or pass --platform and the files of its token and keys")
	case o.request != "" && o.body+o.query != "":
		return text.Errorf("--request holds the query and the body already: leave --query and --body out")
	case o.request+o.body+o.query == "":
		return text.Errorf("nothing to open: pass --request FILE, or --body FILE and perhaps --query QUERY")
	}
	return nil
}

func (o options) validateName() error {
	if o.name == "" {
		return text.Errorf("name an endpoint")
	}
	return nil
}

func (o options) validateStatus() error {
	if o.name != "" && o.gateway != "" {
		return text.Errorf("name an endpoint or a --gateway, and not both")
	}
	return nil
}

func (o options) validateListen() error {
	switch {
	case len(o.takeUsers) > 0 && o.forwardTo == "":
		return text.Errorf("--take-user lets a URL answer: name it with --forward-to")
	case len(o.takeUsers) > tap.MaxTaken:
		return text.Errorf("--take-user can be repeated %d times at most", tap.MaxTaken)
	case o.duration <= 0 || o.duration > tap.MaxTime, o.keep < 0 || o.keep > tap.MaxTime, o.keep%time.Second != 0, o.duration%time.Second != 0:
		return text.Errorf("--for and --keep must be whole seconds, and 1h at most")
	case o.output != "" && o.output != outputJSON && o.output != outputWide:
		return text.Errorf("--output must be json or wide")
	}
	return o.validateForward()
}

// validateForward refuses to send messages in clear to other computers.
func (o options) validateForward() error {
	if o.forwardTo == "" {
		return nil
	}
	to, err := url.Parse(o.forwardTo)
	if err != nil || to.Host == "" || to.User != nil || to.Fragment != "" || to.Scheme != "http" && to.Scheme != "https" {
		return text.Errorf("the URL must be like http://localhost:3000/path")
	}
	if address, err := netip.ParseAddr(to.Hostname()); to.Scheme == "http" && to.Hostname() != "localhost" && (err != nil || !address.IsLoopback()) {
		return text.Errorf("messages go to another computer by https only: write https://, or the URL of a program on this computer")
	}
	return nil
}

var deliveryID = regexp.MustCompile(`^[0-9a-f]{32}$`)

func (o options) validateReplay() error {
	switch {
	case !deliveryID.MatchString(o.delivery):
		return text.Errorf("a delivery id has 32 hexadecimal digits: kubectl wechat listen shows it")
	case o.forwardTo == "":
		return text.Errorf("say where the message is to be sent, with --to http://localhost:3000")
	}
	return o.validateForward()
}

func (o options) validateNoName() error {
	if o.name != "" {
		return text.Errorf("it takes no name of an endpoint")
	}
	return nil
}

// files are those that a command reads.
func (o options) files() []string {
	return []string{o.tokenFile, o.aesKeyFile, o.apiV3KeyFile, o.payPrivateKey, o.body, o.request, o.publicKeyFile}
}

func (o options) readsStdin() bool { return slices.Contains(o.files(), "-") }

// validateStdin refuses to read standard input twice.
func (o options) validateStdin() error {
	if len(slices.DeleteFunc(o.files(), func(path string) bool { return path != "-" })) > 1 {
		return text.Errorf("only one file can be -, standard input")
	}
	return nil
}

// flagName is what a flag's name looks like: what does not is not quoted.
var flagName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// flagError says what is wrong with a flag, and quotes no value, which could be a token.
func flagError(command *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		bare    *pflag.ValueRequiredError
		value   *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown):
		return unknownFlag(command, unknown)
	case errors.As(err, &bare):
		return text.Errorf("flag %s needs an argument", spelled(bare.GetFlag()))
	case errors.As(err, &value):
		return text.Errorf("the value of flag %s is not of type %s", spelled(value.GetFlag()), value.GetFlag().Value.Type())
	}
	return text.Errorf("an argument that begins with - cannot be read as a flag")
}

func spelled(flag *pflag.Flag) string { return "--" + flag.Name }

// unknownFlag proposes the flags that it may have been meant for. Package flag of the standard library took -name for --name.
func unknownFlag(command *cobra.Command, unknown *pflag.NotExistError) error {
	name, _, _ := strings.Cut(unknown.GetSpecifiedName(), "=")
	if group := unknown.GetSpecifiedShortnames(); group != "" {
		name, _, _ = strings.Cut(group, "=")
	}
	if !flagName.MatchString(name) {
		return text.Errorf("there is no such flag")
	}
	var all []string
	command.Flags().VisitAll(func(flag *pflag.Flag) { all = append(all, flag.Name) })
	if near := nearest(name, all); len(near) > 0 {
		return text.Errorf("there is no flag --%s: did you mean --%s?", name, strings.Join(near, ", --"))
	}
	return text.Errorf("there is no flag --%s", name)
}

// nearest are the known names that are spelled like a name, as cobra looks for commands.
func nearest(name string, known []string) []string {
	all := cobra.Command{SuggestionsMinimumDistance: 2}
	for _, one := range known {
		all.AddCommand(&cobra.Command{Use: one, Run: func(*cobra.Command, []string) {}})
	}
	return all.SuggestionsFor(name)
}
