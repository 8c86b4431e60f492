//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
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

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/docs"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// root is the checkout.
const root = "../.."

// installation are the pages that TestInstallationPages follows, in this order: the last one removes what the others have installed.
var installation = []string{"README.md", "docs/quickstart.md", "docs/install.md", "docs/upgrade.md", "docs/mirror.md", "docs/uninstall.md"}

// TestInstallationPages follows the pages of whoever installs, upgrades and removes the operator, with a namespace for each. It is not
// parallel: the others need the operator that this one replaces and removes.
func TestInstallationPages(t *testing.T) {
	if !kube.local {
		t.Skip("the pages remove every endpoint of the cluster: only the local one is nobody's")
	}
	removed := false
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		if err := kube.install(ctx); err != nil {
			t.Errorf("installing the operator of the other tests: %v", err)
		}
		if removed {
			rolesBack()
		}
	})
	pages := pagesOf(t, "TestInstallationPages")
	wantPages(t, pages, installation)
	published := publish(t)
	for i, name := range installation {
		if i == len(installation)-1 {
			rolesGone()
			removed = true
		}
		r := newReader(t, newEmptyStage(t, "page", "baseline"), published)
		if name != "docs/quickstart.md" { // which installs it
			r.links(t, plugin, ".local/bin/kubectl-wechat")
		}
		if r.reads(t, name, pages[name]); t.Failed() {
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
	"by-hand":       {[]string{"docs/spec/wechatendpoint.md"}, (*reader).hasTokens},
	"many-accounts": {[]string{"docs/many-accounts.md"}, (*reader).hasManyAccounts},
	"migrate":       {[]string{"docs/migrate/nginx.md", "docs/migrate/sdk.md"}, (*reader).hasAConsole},
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
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReader(t, newStage(t, "page-"+name).onGateway("front"), "")
			r.links(t, plugin, ".local/bin/kubectl-wechat")
			story.prepare(r, t)
			for _, name := range story.pages {
				r.reads(t, name, pages[name])
			}
		})
	}
}

// hasAccounts has an endpoint of each platform on a gateway, a callback of each that was captured, and what the app got of one.
func (r *reader) hasAccounts(t *testing.T) {
	t.Helper()
	r.stage.newGateway(t, r.stage.gateway)
	shop := r.has(t, "docs/spec/officialaccount.md", "shop", "official-plaintext")
	r.secret = "shop"
	r.has(t, "docs/spec/miniprogram.md", "mini", "mini-encrypted-xml")
	r.has(t, "docs/spec/shop.md", "store", "store")
	r.has(t, "", "suite", "wecom-suite-commands")
	r.has(t, "", "suite-data", "wecom-suite-data")
	r.has(t, "docs/spec/wecom.md", "wecom", "wecom-app")
	r.has(t, "", "platform", "open-authorizer")
	r.has(t, "docs/spec/openplatform.md", "tickets", "open-tickets")
	r.hasPay(t)
	r.captured["docs/operations.md"] = r.captured["docs/spec/officialaccount.md"]

	shop.replies(t, shop.text(t, "written down"), "written down")
	seen := shop.seen(t).Messages
	last := seen[len(seen)-1]
	_, r.prints["docs/verify/README.md"], _ = strings.Cut(last.Headers["X-Wechat-Gateway-Signature"], "v1=")
	head := "POST " + last.Path + " HTTP/1.1\r\n"
	for name, value := range last.Headers {
		head += name + ": " + value + "\r\n"
	}
	write(t, filepath.Join(r.folder, "head"), head)
	write(t, filepath.Join(r.folder, "body"), last.Body)
	shop.forges(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := call(ctx, kube.kubectl, "delete", "clusterrolebinding", "prometheus-wechatendpoint", "--ignore-not-found"); err != nil {
			t.Error(err)
		}
	})
}

// hasTokens has an endpoint for each kind of message that the page signs by hand, and types their token and key.
func (r *reader) hasTokens(t *testing.T) {
	t.Helper()
	r.stage.newGateway(t, r.stage.gateway)
	token := r.has(t, "", "weixin", "official-plaintext").token
	r.has(t, "", "mini", "official-encrypted")
	r.has(t, "", "wecom", "wecom-app")
	r.types = token + "\n" + sampleKey + "\n"
	r.prints["docs/spec/wechatendpoint.md"] = "4375120948345356249" // the echostr, in the clear
}

// hasAConsole has what is in the console, and types it. The app is there.
func (r *reader) hasAConsole(*testing.T) { r.types = r.stage.token + "\n" + sampleKey + "\n" }

// hasManyAccounts has endpoints with pods of their own. Somebody tries to forge messages of one, so that the log has something to show.
func (r *reader) hasManyAccounts(t *testing.T) {
	t.Helper()
	r.stage.gateway = ""
	shop := r.has(t, "", "shop", "official-plaintext")
	r.has(t, "", "game", "mini-encrypted-xml")
	r.has(t, "", "news", "official-plaintext")
	go func() {
		for pause(t.Context()) == nil {
			_, _ = shop.sender().Post(t.Context(), textMessage("forged"), wechattest.WithToken("GuessedToken"))
		}
	}()
}

// newestDelivery is a program that prints the id of a message which shop has just got.
const newestDelivery = `#!/bin/sh
kubectl wechat listen shop -o json | sed -n 's/.*"verdict".*"delivery":"\([0-9a-f]*\)".*/\1/p' | tail -n 1
`

// hasMessages has an endpoint that gets messages all the time, and a program on this computer for them.
func (r *reader) hasMessages(t *testing.T) {
	t.Helper()
	r.stage.gateway = ""
	shop := r.has(t, "docs/symptoms.md", "shop", "official-plaintext")
	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "success")
	}))
	t.Cleanup(program.Close)
	write(t, filepath.Join(r.home, "bin/newest-delivery"), newestDelivery)
	r.replaces = []string{"-n production", "-n " + r.stage.namespace, "http://localhost:3000", program.URL, "5f0c2a3be1a94d1f8f9b7a6c5d4e3f20", "$(newest-delivery)"}
	go func() {
		for pause(t.Context()) == nil {
			_, _ = shop.sender().Text(t.Context(), openID, "hello")
		}
	}()
}

// hasAnAlert has an endpoint on a gateway. Somebody has tried to forge a message of it.
func (r *reader) hasAnAlert(t *testing.T) {
	t.Helper()
	r.stage.newGateway(t, r.stage.gateway)
	r.has(t, "", "shop", "official-plaintext").forges(t)
	r.replaces = []string{"NAMESPACE", r.stage.namespace, "NAME", "shop", "SERVICE", appName, "GATEWAY", r.stage.gateway}
}

// forges tries to forge a message, which the log tells.
func (s *stage) forges(t *testing.T) {
	t.Helper()
	s.refused(t, s.text(t, "forged", wechattest.WithToken("GuessedToken")), http.StatusForbidden)
}

// has has an endpoint of that kind, and for the page a callback of it that was captured.
func (r *reader) has(t *testing.T, page, name, account string) *stage {
	t.Helper()
	k := kinds()[account]
	own := r.stage.apply(t, name, k, 1)
	request, err := own.sender().NewPost(k.message("captured"))
	if err != nil {
		t.Fatal(err)
	}
	r.captured[page] = request
	return own
}

// hasPay has an endpoint pay, a notification that was captured, and an endpoint pay-test that knows a key of the reader's own.
func (r *reader) hasPay(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	own, secret, endpoint := r.stage.sample(t, "pay", "pay")
	secret.StringData[v1alpha1.KeyPublicKey] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	account := caller.PayAccount{PrivateKey: key, Serial: secret.StringData[v1alpha1.KeyPublicKeyID], APIv3Key: secret.StringData[v1alpha1.KeyAPIv3Key]}
	trial := endpoint.DeepCopy()
	trial.Name, trial.Spec.URL.Path, trial.Spec.Credentials.SecretName = "pay-test", "/pay-test", "pay-test-wechat"
	r.stage.create(t, secret, endpoint, trial)
	own.awaitReady(t)
	sender := own.sender()
	sender.Pay = &account
	notification, err := sender.NewNotification("TRANSACTION.SUCCESS", []byte(`{"out_trade_no":"1217752501201407033233368018"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.captured["docs/spec/pay.md"] = notification
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
	published    string                     // the folder that stands for where a release is published
	secret       string                     // the name of the Secret that the pages call shop-wechat
	replaces     []string                   // pairs: what the pages of the story say, and what the reader has in its place
	types        string                     // what is typed where a page asks for something
	captured     map[string]*caller.Request // by the page that opens it
	prints       map[string]string          // what the commands of a page must print, by the page
}

// pluginScript stands before the plugin. DNS does not know the host, and the ingress controller takes two seconds to take up a new route, as
// a reader takes to type a command. Who listens, or looks at the page, has seen enough after a moment.
const pluginScript = `#!/bin/sh
plugin=$HOME/.local/bin/kubectl-wechat
case "$1 $*" in
listen*) exec "$plugin" "$@" --for 2s ;;
dashboard*) exec timeout --preserve-status --signal INT 2 "$plugin" "$@" ;;
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

func newReader(t *testing.T, s *stage, published string) *reader {
	t.Helper()
	r := &reader{secret: "shop-wechat", stage: s, home: t.TempDir(), folder: t.TempDir(), published: published, captured: map[string]*caller.Request{}, prints: map[string]string{}}
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
	command.Env = append(os.Environ(), "HOME="+r.home, "KUBECONFIG="+r.kubeconfig(),
		"PATH="+strings.Join([]string{filepath.Join(r.home, "bin"), filepath.Join(r.home, ".local/bin"), os.Getenv("PATH")}, ":"))
	began := time.Now()
	said, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%s does not work (%v); the last line that begins with --- says which block:\n%s", name, err, said)
	}
	if want := r.prints[name]; !strings.Contains(string(said), want) {
		t.Errorf("%s does not print %q:\n%s", name, want, said)
	}
	t.Logf("pages: %s: %d blocks in %v", name, len(page.Blocks), time.Since(began).Round(time.Second))
}

// substitutes are what a reader of these tests has in the place of what the pages say. CONTRIBUTING.md lists them.
func (r *reader) substitutes() *strings.Replacer {
	release := "https://github.com/wechatendpoint/wechatendpoint/releases/download/v" + docs.Version
	return strings.NewReplacer(append(slices.Clip(r.replaces),
		"oci://ghcr.io/wechatendpoint/charts/wechat-endpoint --version "+docs.Version, filepath.Join(r.published, "wechat-endpoint-"+docs.Version+".tgz"),
		"kubectl apply --server-side -f "+release+"/", "kubectl create --dry-run=client --validate=strict -f "+r.published+"/", // TestInstallation asks the API server
		release, "file://"+r.published,
		"ghcr.io/wechatendpoint/example-app:"+docs.Version, kube.imagePrefix+"/example-app:"+kube.imageTag,
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

// publish makes what the pages download of a release, of this checkout: the chart, the manifest, the plugin and the checksums. The images are on
// the node already.
func publish(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if _, err := call(t.Context(), kube.helm, "package", chart, "--version", docs.Version, "--app-version", kube.imageTag, "--destination", folder); err != nil {
		t.Fatal(err)
	}
	manifest, err := call(t.Context(), kube.kubectl, "kustomize", root+"/config/default")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "install.yaml"), manifest)
	archive := "kubectl-wechat-" + docs.Version + "-linux-" + runtime.GOARCH + ".tar.gz"
	if _, err := call(t.Context(), "tar", "-czf", filepath.Join(folder, archive), "-C", filepath.Dir(plugin), filepath.Base(plugin)); err != nil {
		t.Fatal(err)
	}
	if _, err := call(t.Context(), "sh", "-c", `cd "$1" && sha256sum * > SHA256SUMS`, "sh", folder); err != nil {
		t.Fatal(err)
	}
	return folder
}
