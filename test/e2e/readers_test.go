//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
	"github.com/wechatendpoint/wechatendpoint/test/ports"
)

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

// hasTokens has an endpoint for each kind of message that the page signs by hand, and types their token and key. The samples are there.
func (r *reader) hasTokens(t *testing.T) {
	t.Helper()
	r.stage.newGateway(t, r.stage.gateway)
	token := r.has(t, "", "weixin", "official-plaintext").token
	r.has(t, "", "mini", "official-encrypted")
	r.has(t, "", "wecom", "wecom-app")
	r.types = token + "\n" + sampleKey + "\n"
	r.replaces = []string{"config/samples/", checkout(t) + "/config/samples/"}
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
	r.prints["docs/many-accounts.md"] = "/news condition met" // the last one of its loop
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

// hasFaults has an endpoint that cannot be read as it is stored, one whose pod cannot read its document, and one that the operator fails to serve.
func (r *reader) hasFaults(t *testing.T) {
	t.Helper()
	r.stage.gateway = ""
	r.has(t, "", "shop", "official-plaintext").storesBadly(t)
	pod := r.has(t, "", "game", "official-plaintext").isGivenANewerDocument(t)
	r.stage.hasAFailingWebhook(t)
	_, secret, news := r.stage.sample(t, "officialaccount", "news")
	r.stage.create(t, secret, news)
	awaitLog(t, operatorNamespace, "deployment/"+operatorName, `"level":"ERROR"`, r.stage.namespace, "failed calling webhook")
	r.replaces = []string{"NAMESPACE", r.stage.namespace, "NAME", "shop", "POD", pod}
	r.prints["docs/runbooks/WeChatEndpointUnreadable.md"] = v1alpha1.ReasonSpecUnreadable
}

// storesBadly puts a memory limit into the store that is no quantity, as a definition of the past would have let through.
func (s *stage) storesBadly(t *testing.T) {
	t.Helper()
	key := []byte("/registry/" + v1alpha1.GroupVersion.Group + "/wechatendpoints/" + s.namespace + "/" + s.name)
	var stored struct {
		KVs []struct {
			Value []byte `json:"value"`
		} `json:"kvs"`
	}
	asksStore(t, "range", map[string][]byte{"key": key}, &stored)
	if len(stored.KVs) != 1 {
		t.Fatalf("the store has %d objects with the key %s", len(stored.KVs), key)
	}
	var object unstructured.Unstructured
	err := json.Unmarshal(stored.KVs[0].Value, &object.Object)
	if err == nil {
		err = unstructured.SetNestedField(object.Object, "1e1.5", "spec", "sidecar", "resources", "limits", "memory")
	}
	value, unwritten := json.Marshal(object.Object)
	if err := errors.Join(err, unwritten); err != nil {
		t.Fatal(err)
	}
	asksStore(t, "put", map[string][]byte{"key": key, "value": value}, nil)
	awaitLog(t, operatorNamespace, "deployment/"+operatorName, "cannot be read as it is stored", s.namespace)
}

// asksStore asks etcd, behind the API server's back.
func asksStore(t *testing.T, what string, question map[string][]byte, answer any) {
	t.Helper()
	body, err := json.Marshal(question) // bytes as base64, as etcd has them
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://127.0.0.1:2379/v3/kv/"+what, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(said, answer)
	}
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("etcd: %s: %d %s (%v)", what, response.StatusCode, said, err)
	}
}

// isGivenANewerDocument puts a document before the sidecar that it cannot read, while the operator's hands are off, and returns the pod's name.
func (s *stage) isGivenANewerDocument(t *testing.T) string {
	t.Helper()
	s.change(t, func(spec *v1alpha1.WeChatEndpointSpec) { spec.Paused = true })
	s.awaitPaused(t)
	secret := &corev1.Secret{ObjectMeta: s.object(s.name + "-sidecar")}
	s.edit(t, secret, func() { secret.Data[config.File] = []byte(`{"version":1000}`) })
	pods, err := s.pods(t.Context(), client.MatchingLabels{v1alpha1.LabelEndpoint: s.name})
	if err != nil || len(pods) != 1 {
		t.Fatalf("%d pods (%v)", len(pods), err)
	}
	pod := &pods[0]
	s.edit(t, pod, func() { metav1.SetMetaDataAnnotation(&pod.ObjectMeta, "example.com/changed", "now") }) // or the kubelet looks a minute later
	awaitLog(t, s.namespace, pod.Name, "keeping the last good")
	return pod.Name
}

// hasAFailingWebhook lets an admission webhook fail that is asked about each NetworkPolicy of the namespace.
func (s *stage) hasAFailingWebhook(t *testing.T) {
	t.Helper()
	webhook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}, Webhooks: []admissionv1.ValidatingWebhook{{
		Name:              "away.example.com",
		ClientConfig:      admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: s.namespace, Name: "away"}},
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.namespace}},
		Rules: []admissionv1.RuleWithOperations{{
			Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule:       admissionv1.Rule{APIGroups: []string{"networking.k8s.io"}, APIVersions: []string{"v1"}, Resources: []string{"networkpolicies"}},
		}},
		SideEffects:             new(admissionv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}}}
	s.create(t, webhook)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := kube.Delete(ctx, webhook); err != nil {
			t.Error(err)
		}
	})
}

// awaitLog waits for a line of a log that has all of the words.
func awaitLog(t *testing.T, namespace, name string, words ...string) {
	t.Helper()
	eventually(t, patience, fmt.Sprintf("the log of %s to say %q", name, words), func(ctx context.Context) error {
		log, err := call(ctx, kube.kubectl, "-n", namespace, "logs", name, "--since", "15m")
		if err != nil {
			return err
		}
		for line := range strings.Lines(log) {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return nil
			}
		}
		return errors.New("it does not")
	})
}

// hasAnSDK has an app with two paths: behind one the Node app of config/samples takes what WeChat sent, by its SDK, and behind the other the
// example app takes the bare message. The reader types what is in the console.
func (r *reader) hasAnSDK(t *testing.T) {
	t.Helper()
	r.hasAConsole(t)
	const bare = "bare-app"
	r.stage.deployNamed(t, bare)
	service := &corev1.Service{ObjectMeta: r.stage.object(bare)}
	if err := kube.Get(t.Context(), client.ObjectKeyFromObject(service), service); err != nil {
		t.Fatal(err)
	}
	paths := http.NewServeMux()
	paths.Handle("/weixin/sdk", proxyTo(r.runsTheNodeApp(t)))
	paths.Handle("/", proxyTo(net.JoinHostPort(service.Spec.ClusterIP, "8080")))
	r.stage.isOutside(t, appName, paths)
}

// runsTheNodeApp runs it as its container does, and returns its address.
func (r *reader) runsTheNodeApp(t *testing.T) string {
	t.Helper()
	folder, address := t.TempDir(), ports.Free()
	_, port, _ := net.SplitHostPort(address)
	packages := checkout(t) + "/test/interop/node_modules"
	program, err := os.ReadFile(root + "/config/samples/node/app.mjs")
	if err := errors.Join(err, os.Symlink(packages, filepath.Join(folder, "node_modules"))); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "app.mjs"), string(program))
	write(t, filepath.Join(folder, v1alpha1.KeyToken), r.stage.token)
	write(t, filepath.Join(folder, v1alpha1.KeyEncodingAESKey), sampleKey)
	app := exec.CommandContext(t.Context(), "node", "app.mjs")
	app.Dir, app.Stderr = folder, t.Output()
	app.Env = append(os.Environ(), "PORT="+port, "WECHAT_APP_ID=wx5823bf96d3bd56c7", "WECHAT_CREDENTIALS="+folder)
	if err := app.Start(); err != nil {
		t.Fatalf("test/interop/setup installs node: %v", err)
	}
	t.Cleanup(func() { _ = app.Wait() }) // the end of the context has killed it
	return address
}

func proxyTo(address string) http.Handler {
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
}

// isOutside gives a Service to an app that runs outside of the cluster, at an address of the node.
func (s *stage) isOutside(t *testing.T, name string, app http.Handler) {
	t.Helper()
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: app, ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	node, _, err := net.SplitHostPort(kube.ingressAddress)
	if err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: s.object(name)}
	if err := kube.Delete(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	port := int32(listener.Addr().(*net.TCPAddr).Port)
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: s.object(name), AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{node}}}, Ports: []discoveryv1.EndpointPort{{Name: new("http"), Port: &port}},
	}
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	s.create(t, &corev1.Service{ObjectMeta: s.object(name), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 8080}}}}, slice)
}

// hasOtherTools has an endpoint whose Secret comes from a store, the same app behind a ForwardAuth of Traefik, and oc.
func (r *reader) hasOtherTools(t *testing.T) {
	t.Helper()
	r.stage.gateway = ""
	r.links(t, kube.kubectl, "bin/oc")
	shop, secret, endpoint := r.stage.sample(t, "officialaccount", "shop")
	secret.Name, endpoint.Spec.Credentials.SecretName = secretName, secretName
	r.stage.create(t, secret, endpoint)
	shop.awaitReady(t)
	r.stage.isSyncedFromAStore(t, secret)
	r.stage.isBehindForwardAuth(t)
}

// isSyncedFromAStore does what External Secrets does when it is asked for the newest value: the store has another token now than the Secret.
func (s *stage) isSyncedFromAStore(t *testing.T, secret *corev1.Secret) {
	t.Helper()
	for _, object := range objectsOf(t, "gitops/overlays/production") {
		if object.GetKind() != "ExternalSecret" {
			continue
		}
		object.SetNamespace(s.namespace)
		object.SetName(secretName)
		s.create(t, object)
		go func() {
			for pause(t.Context()) == nil {
				err := kube.Get(t.Context(), client.ObjectKeyFromObject(object), object)
				if err != nil || object.GetAnnotations()["force-sync"] == "" {
					continue
				}
				newest := &corev1.Secret{ObjectMeta: s.object(secretName)}
				newest.Labels, newest.Data = secret.Labels, map[string][]byte{v1alpha1.KeyToken: []byte("TokenOfTheStore2")}
				if kube.Update(t.Context(), newest) == nil {
					return
				}
			}
		}()
	}
}

// isBehindForwardAuth publishes the app by Traefik's own kinds, and asks a service about each request, as the page says of the old way.
func (s *stage) isBehindForwardAuth(t *testing.T) {
	t.Helper()
	const auth = "wechat-signature"
	s.deployNamed(t, auth)
	traefik := func(kind, name string, spec map[string]any) *unstructured.Unstructured {
		object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "traefik.io/v1alpha1", "kind": kind, "spec": spec}}
		object.SetNamespace(s.namespace)
		object.SetName(name)
		return object
	}
	s.create(t,
		traefik("Middleware", auth, map[string]any{"forwardAuth": map[string]any{"address": "http://" + auth + "." + s.namespace + ".svc:8080/healthz"}}),
		traefik("IngressRoute", "shop-weixin", map[string]any{"entryPoints": []any{"web"}, "routes": []any{map[string]any{
			"kind": "Rule", "match": "Host(`" + s.host + "`) && PathPrefix(`/weixin`)",
			"services":    []any{map[string]any{"name": appName, "port": int64(8080)}},
			"middlewares": []any{map[string]any{"name": auth}},
		}}}))
	eventually(t, patience, "the old way", func(ctx context.Context) error {
		answer, err := s.sender().Post(ctx, textMessage("by the old way"))
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("it answers %d", answer.Status)
		}
		return err
	})
}
