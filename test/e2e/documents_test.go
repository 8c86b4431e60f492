//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wechatendpoint/wechatendpoint/docs"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
)

// root is the checkout.
const root = "../.."

// checkout is its path from everywhere.
func checkout(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// installation are the pages that TestInstallationPages follows, in this order: the last one removes what the others have installed.
var installation = []string{"README.md", "docs/quickstart.md", "docs/install.md", "docs/upgrade.md", "docs/mirror.md", "charts/wechat-endpoint/README.md", "docs/uninstall.md"}

// TestInstallationPages follows the pages of whoever installs, upgrades and removes the operator, with a namespace for each. It is not
// parallel: the others need the operator that this one replaces and removes.
func TestInstallationPages(t *testing.T) {
	if !kube.local {
		t.Skip("the pages remove every endpoint of the cluster: only the local one is nobody's")
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("installing the operator of the other tests: %v", err)
		}
		rolesBack()
	})
	rolesGone()
	if err := cleanUp(); err != nil {
		t.Fatal(err)
	}
	published := publish(t)
	published.isOnTheNode(t)
	if !t.Run("without helm", published.isInstalledByManifest) {
		return // something is left in the way of the others
	}
	pages := pagesOf(t, "TestInstallationPages")
	wantPages(t, pages, installation)
	for _, name := range installation {
		r := newReader(t, newEmptyStage(t, "page", "baseline"))
		r.installsFrom(t, published)
		switch name {
		case "docs/quickstart.md": // which installs the plugin
		case "docs/install.md": // likewise, by krew
			r.links(t, filepath.Join(r.home, ".krew/bin/kubectl-wechat"), ".local/bin/kubectl-wechat")
		default:
			r.links(t, plugin, ".local/bin/kubectl-wechat")
		}
		r.reads(t, name, pages[name])
		if name == "docs/mirror.md" {
			published.isMirrored(t)
		}
		if t.Failed() {
			return // what comes next rests on it
		}
	}
}

// story is pages that one reader follows, one after the other, in a namespace with the app and a gateway.
type story struct {
	pages   []string
	prepare func(*reader, *testing.T)
}

var stories = map[string]story{
	"accounts": {[]string{
		"docs/operations.md", "docs/status.md", "docs/verify/README.md", "docs/spec/officialaccount.md", "docs/spec/miniprogram.md", "docs/spec/shop.md",
		"docs/spec/wecom.md", "docs/spec/openplatform.md", "docs/spec/pay.md", "docs/several-clusters.md",
	}, (*reader).hasAccounts},
	"causes": {[]string{"docs/symptoms.md", "docs/plugin.md", "docs/dashboard.md"}, (*reader).hasMessages},
	"runbooks": {[]string{
		"docs/runbooks/WeChatAppUnavailable.md", "docs/runbooks/WeChatBackendUnavailable.md", "docs/runbooks/WeChatEndpointNotReachable.md",
		"docs/runbooks/WeChatEndpointNotReady.md", "docs/runbooks/WeChatEndpointWarns.md", "docs/runbooks/WeChatOperatorDown.md",
		"docs/runbooks/WeChatPushesAboutToStop.md", "docs/runbooks/WeChatRolloutFailed.md", "docs/runbooks/WeChatSaveForgotten.md",
		"docs/runbooks/WeChatWrongAnswer.md",
	}, (*reader).hasAnAlert},
	"faults": {[]string{
		"docs/runbooks/WeChatEndpointUnreadable.md", "docs/runbooks/WeChatOperatorFailing.md", "docs/runbooks/WeChatSidecarConfigStale.md",
	}, (*reader).hasFaults},
	"by-hand":       {[]string{"docs/spec/wechatendpoint.md", "config/samples/README.md"}, (*reader).hasTokens},
	"many-accounts": {[]string{"docs/many-accounts.md"}, (*reader).hasManyAccounts},
	"from-nginx":    {[]string{"docs/migrate/nginx.md"}, (*reader).hasAConsole},
	"other-tools":   {[]string{"docs/gitops.md", "docs/openshift.md", "docs/migrate/traefik.md"}, (*reader).hasOtherTools},
	"from-an-sdk":   {[]string{"docs/migrate/sdk.md"}, (*reader).hasAnSDK},
}

// TestPages follows the pages of those who have accounts.
func TestPages(t *testing.T) {
	t.Parallel()
	if !kube.local {
		t.Skip("the pages know the addresses of the local cluster alone")
	}
	pages := pagesOf(t, "TestPages")
	var told []string
	for _, story := range stories {
		told = append(told, story.pages...)
	}
	wantPages(t, pages, told)
	stumbles := make(chan string, len(told))
	t.Cleanup(func() { // once more, where whoever reads the log looks: much was written since
		close(stumbles)
		for stumble := range stumbles {
			t.Log(stumble)
		}
	})
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, newStage(t, "page-"+name).onGateway("front"))
			r.stumbles = stumbles
			r.links(t, plugin, ".local/bin/kubectl-wechat")
			story.prepare(r, t)
			for _, name := range story.pages {
				r.reads(t, name, pages[name])
			}
		})
	}
}

// pagesOf are the pages with blocks that a test runs, by name, with these blocks and the files that they use. Those in Chinese have the
// same blocks as those in English.
func pagesOf(t *testing.T, test string) map[string]docs.Page {
	t.Helper()
	pages, err := docs.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]docs.Page{}
	for name, page := range pages {
		page.Blocks = slices.DeleteFunc(page.Blocks, func(b docs.Block) bool { return b.RunBy() != test && b.File() == "" })
		if !strings.HasSuffix(name, docs.Chinese) && slices.ContainsFunc(page.Blocks, func(b docs.Block) bool { return b.RunBy() == test }) {
			found[name] = page
		}
	}
	return found
}

// wantPages wants those that say that a test follows them to be those that it does follow.
func wantPages(t *testing.T, pages map[string]docs.Page, followed []string) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(slices.Values(followed)), slices.Sorted(maps.Keys(pages))); diff != "" {
		t.Fatalf("the pages that are followed, and those whose blocks say so:\n%s", diff)
	}
}

// reader follows a page: with a home, a folder and a namespace of its own, and with the programs of this checkout on the PATH.
type reader struct {
	stage        *stage
	home, folder string
	secret       string                     // the name of the Secret that the pages call shop-wechat
	replaces     []string                   // pairs: what the pages say, and what this reader has in its place
	environment  []string                   // more than others have
	types        string                     // what is typed where a page asks for something
	captured     map[string]*caller.Request // by the page that opens it
	prints       map[string]string          // what the commands of a page must print, by the page
	stumbles     chan<- string              // gets what a page did that does not work; nil where nobody asks
}

// pluginScript stands before the plugin. DNS does not know the host, and the ingress controller takes two seconds to take up a new route, as
// a reader takes to type a command. Who listens has seen enough after a moment, but listens again when a pod did not answer in it. Who has the
// URL of the page ends it.
const pluginScript = `#!/bin/sh
plugin=$HOME/.local/bin/kubectl-wechat
case "$1 $*" in
listen*)
	"$plugin" "$@" --for 2s && exit
	exec "$plugin" "$@" --for 20s
	;;
dashboard*)
	rm -f "$HOME/url"
	"$plugin" "$@" >"$HOME/url" &
	timeout 30 sh -c 'until [ -s "$HOME/url" ]; do sleep 0.1; done'
	kill $!
	wait $! && cat "$HOME/url"
	exit
	;;
*--address*) tries=9 ;;
verify* | send* | doctor*) tries=9; set -- "$@" --address %s ;;
*) tries=0 ;;
esac
while [ $tries -gt 0 ]; do
	"$plugin" "$@" && exit
	tries=$((tries - 1))
	sleep 0.5
done
exec "$plugin" "$@"
`

func newReader(t *testing.T, s *stage) *reader {
	t.Helper()
	r := &reader{secret: "shop-wechat", stage: s, home: t.TempDir(), folder: t.TempDir(), captured: map[string]*caller.Request{}, prints: map[string]string{}}
	for _, folder := range []string{"bin", ".local/bin"} {
		if err := os.MkdirAll(filepath.Join(r.home, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.links(t, kube.kubectl, "bin/kubectl")
	r.links(t, kube.helm, "bin/helm")
	write(t, filepath.Join(r.home, "bin/kubectl-wechat"), fmt.Sprintf(pluginScript, kube.ingressAddress))
	write(t, filepath.Join(r.home, ".curlrc"), fmt.Sprintf("connect-to = \"::%s\"\n", kube.ingressAddress))

	config, err := clientcmd.NewDefaultClientConfigLoadingRules().Load()
	if err != nil {
		t.Fatal(err)
	}
	own := config.Contexts[config.CurrentContext].DeepCopy()
	own.Namespace = s.namespace
	for _, name := range []string{config.CurrentContext, "east", "west"} { // the two clusters of a page are this one
		config.Contexts[name] = own
	}
	if err := clientcmd.WriteToFile(*config, r.kubeconfig()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *reader) kubeconfig() string { return filepath.Join(r.home, "kubeconfig") }

// links puts a program into the reader's home.
func (r *reader) links(t *testing.T, program, name string) {
	t.Helper()
	path, err := filepath.Abs(program)
	if err == nil {
		err = os.Symlink(path, filepath.Join(r.home, name))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// captures writes a request into the file of the pages, as a proxy that captures it does.
func (r *reader) captures(t *testing.T, request *caller.Request) {
	t.Helper()
	text := request.Method + " " + request.URI() + " HTTP/1.1\r\nHost: " + request.Host + "\r\n"
	for name, values := range request.Header {
		text += name + ": " + strings.Join(values, ", ") + "\r\n"
	}
	write(t, filepath.Join(r.folder, "captured.http"), text+"\r\n"+string(request.Body))
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// reads runs the blocks of a page, one after the other, in one shell that ends with the first command that fails.
func (r *reader) reads(t *testing.T, name string, page docs.Page) {
	t.Helper()
	if request := r.captured[name]; request != nil {
		r.captures(t, request)
	}
	substitutes := r.substitutes()
	script := "set -e -o pipefail\n"
	for _, block := range page.Blocks {
		text := substitutes.Replace(block.Text)
		if file := block.File(); file != "" {
			write(t, filepath.Join(r.folder, file), text)
			continue
		}
		script += fmt.Sprintf("echo '--- %s, line %d' >&2\n%s", name, block.Line, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", script)
	command.Dir, command.Stdin, command.WaitDelay = r.folder, strings.NewReader(r.types), 5*time.Second
	command.Env = append(slices.DeleteFunc(os.Environ(), isPersonal), "HOME="+r.home, "KUBECONFIG="+r.kubeconfig(),
		"PATH="+strings.Join([]string{filepath.Join(r.home, "bin"), filepath.Join(r.home, ".local/bin"), os.Getenv("PATH")}, ":"))
	command.Env = append(command.Env, r.environment...)
	began := time.Now()
	said, err := command.CombinedOutput()
	if err != nil {
		stumble := fmt.Sprintf("%s does not work (%v); the last line that begins with --- says which block:\n%s", name, err, said)
		t.Error(stumble)
		select {
		case r.stumbles <- stumble:
		default: // nobody asks
		}
	}
	if want := r.prints[name]; !strings.Contains(string(said), want) {
		t.Errorf("%s does not print %q:\n%s", name, want, said)
	}
	t.Logf("pages: %s: %d blocks in %v", name, len(page.Blocks), time.Since(began).Round(time.Second))
}

// isPersonal says whether a variable leads programs to files of whoever runs the tests.
func isPersonal(variable string) bool {
	return slices.ContainsFunc([]string{"XDG_", "HELM_", "KREW_", "DOCKER_CONFIG="}, func(prefix string) bool { return strings.HasPrefix(variable, prefix) })
}

// substitutes are what a reader of these tests has in the place of what the pages say. CONTRIBUTING.md lists the first of them.
func (r *reader) substitutes() *strings.Replacer {
	return strings.NewReplacer(append(slices.Clip(r.replaces),
		"linux-amd64", "linux-"+runtime.GOARCH,
		"https://wx.example.com", "http://"+r.stage.host,
		"wx.example.com", r.stage.host,
		"203.0.113.7:443", kube.ingressAddress,
		"203.0.113.7:80", kube.ingressAddress,
		"className: traefik", "className: "+kube.className,
		"secret shop-wechat", "secret "+r.secret,
		"default/shop", r.stage.namespace+"/shop",
		"--timeout 1s", "--timeout 10s", // the machine of the tests has other things to do
	)...)
}
