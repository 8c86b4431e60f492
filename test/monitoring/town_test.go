//go:build prometheus

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	goprometheus "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/sidecartest"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
	"github.com/wechatendpoint/wechatendpoint/test/prometheus"
)

// What the town's Prometheus scrapes, and over which time rates are taken there.
const (
	interval = 500 * time.Millisecond
	rateOver = "5s"
)

// newTown starts a Prometheus that scrapes real sidecars, to which WeChat sends what it may send, and the operator's real page, which tells of one endpoint of each kind.
// It needs no cluster: the operator's cache is made up.
func newTown(t *testing.T) *prometheus.Server {
	t.Helper()
	var pods []prometheus.Target
	var playing sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	for endpoint, pod := range map[string]string{"team-a/shop": "shop-sidecar-6f7c-a1", "team-a/club": "front-wechat-gateway-5d9f-b2"} {
		sender, ops := serve(t, endpoint)
		pods = append(pods, prometheus.Target{Address: ops, Labels: map[string]string{"namespace": "team-a", "pod": pod}})
		playing.Go(func() { play(ctx, sender) })
	}
	t.Cleanup(func() { stop(); playing.Wait() })
	server := prometheus.Start(t, prometheus.Config{Interval: interval, Rules: []string{rules}, Jobs: []prometheus.Job{
		{Name: "sidecars", Targets: pods},
		{Name: "operator", HonorLabels: true, Targets: []prometheus.Target{
			{Address: operatorPage(t), Labels: map[string]string{"namespace": "wechatendpoint-system", "pod": "wechatendpoint-operator-7b9c-c3"}},
		}},
	}})
	server.AwaitTargets(t, 30*time.Second)
	return server
}

// serve runs a sidecar for an endpoint whose app does what the kind of the message says.
func serve(t *testing.T, endpoint string) (sender *caller.Sender, ops string) {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("X-WeChat-Message-Type") {
		case "video": // longer than the deadline
			time.Sleep(700 * time.Millisecond)
		case "shortvideo": // and then it fails
			time.Sleep(700 * time.Millisecond)
			w.WriteHeader(http.StatusInternalServerError)
		case "link":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(app.Close)
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	const token, aesKey = "a-token-of-the-town", "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C"
	backend := func(url string) config.Backend {
		return config.Backend{URL: url, Deadline: config.Duration(500 * time.Millisecond), OnDeadline: "Acknowledge"}
	}
	second := backend(nobody.URL)
	callbacks, ops := sidecartest.Run(t, config.Document{
		Config: config.Config{
			Generation: "g", Endpoint: endpoint, Platform: "OfficialAccount", AppID: "wx1", MessageMode: "Encrypted", Path: "/weixin", Backend: backend(app.URL),
			Rules: []config.Rule{
				{Match: config.Match{MsgType: "voice"}, Action: config.ActionDiscard},
				{Match: config.Match{MsgType: "image"}, Action: config.ActionForward, Backend: &second},
			},
		},
		Credentials: config.Credentials{Pairs: []config.Pair{{Generation: 1, Token: token, EncodingAESKey: aesKey}}},
	})
	return &caller.Sender{URL: "http://" + callbacks + "/weixin", Token: token, EncodingAESKey: aesKey, ReceiverID: "wx1"}, ops
}

// play sends messages of each kind, and what others send, until the context ends. What is answered is not looked at: that is in the metrics.
func play(ctx context.Context, sender *caller.Sender) {
	var sent sync.WaitGroup
	defer sent.Wait()
	for i := 0; ctx.Err() == nil; i++ {
		kinds := []string{"text", "text", "voice", "text", "image", "video", "text", "shortvideo", "link", "text"}
		message := fmt.Sprintf("<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName><CreateTime>%d</CreateTime><MsgType>%s</MsgType><MsgId>%d</MsgId></xml>",
			time.Now().Unix(), kinds[i%len(kinds)], i)
		sent.Go(func() {
			request, err := sender.NewPost([]byte(message))
			if err != nil {
				return
			}
			_, _ = sender.Send(ctx, request)
			if i%7 == 0 { // as WeChat repeats
				_, _ = sender.Send(ctx, request)
			}
		})
		if i%10 == 0 {
			sent.Go(func() { strangers(ctx, *sender) })
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// strangers are the console's Submit, a forger, a scanner, and the operator's own look.
func strangers(ctx context.Context, sender caller.Sender) {
	forged := wechattest.WithSignature(strings.Repeat("0", 40))
	_, _ = sender.URLCheck(ctx)
	_, _ = sender.URLCheck(ctx, forged)
	played := sender
	played.Nonce = func() string { return fmt.Sprint(config.ProbeNoncePrefix, time.Now().UnixNano()) }
	_, _ = played.URLCheck(ctx)
	_, _ = played.URLCheck(ctx, forged)
	sender.URL += "/other"
	_, _ = sender.URLCheck(ctx)
}

// operatorPage serves what the operator shows of the cache below, and what controller-runtime shows of two controllers that work.
func operatorPage(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	t.Cleanup(func() { stop(); working.Wait() })
	for _, name := range []string{"wechatendpoint", "wechatgateway"} { // as controller-runtime calls those of these kinds
		c, err := controller.NewTypedUnmanaged(name, controller.TypedOptions[string]{
			SkipNameValidation: new(true), // two tests have them
			LogConstructor:     func(*string) logr.Logger { return logr.Discard() },
			Reconciler: reconcile.TypedFunc[string](func(context.Context, string) (reconcile.Result, error) {
				return reconcile.Result{}, errors.New("made up")
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		work := source.TypedFunc[string](func(_ context.Context, queue workqueue.TypedRateLimitingInterface[string]) error {
			queue.Add("something to look at, again and again")
			return nil
		})
		if err := c.Watch(work); err != nil {
			t.Fatal(err)
		}
		working.Go(func() { _ = c.Start(ctx) })
	}
	own := goprometheus.NewRegistry()
	own.MustRegister(controllers.Collectors(newCache(t))...)
	page := httptest.NewServer(promhttp.HandlerFor(goprometheus.Gatherers{own, metrics.Registry}, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}))
	t.Cleanup(page.Close)
	return page.Listener.Addr().String()
}

// cache is what the operator's cache would hold.
type cache struct {
	client.Reader
	endpoints []v1alpha1.WeChatEndpoint
	gateways  []v1alpha1.WeChatGateway
	secrets   []corev1.Secret
}

func (c *cache) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.WeChatEndpointList:
		list.Items = c.endpoints
	case *v1alpha1.WeChatGatewayList:
		list.Items = c.gateways
	case *corev1.SecretList:
		list.Items = c.secrets
	default:
		return fmt.Errorf("the operator lists %T for its metrics", list)
	}
	return nil
}

// newCache has two endpoints whose pods run, one of Pay, and one with which everything is wrong.
func newCache(t *testing.T) *cache {
	t.Helper()
	certificate, err := os.ReadFile(root + "/controllers/internal/metrics/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) *metav1.Time { return new(metav1.NewTime(time.Now().Add(-d))) }
	endpoint := func(name string, platform v1alpha1.Platform, conditions ...string) v1alpha1.WeChatEndpoint {
		e := v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}
		e.Spec.Platform, e.Spec.Credentials.SecretName, e.Status.Conditions = platform, name, says(conditions...)
		return e
	}
	shop := endpoint("shop", v1alpha1.PlatformOfficialAccount,
		"Accepted=True Accepted", "CredentialsResolved=True RotationPending", "Ready=True Ready", "Reachable=True Reachable", "SidecarCurrent=True SidecarCurrent")
	shop.Status.CertificateNotAfter = ago(-40 * 24 * time.Hour)
	shop.Status.Credentials.Accepted = []v1alpha1.AcceptedCredentials{{Generation: 2, Since: ago(time.Hour)}, {Generation: 1, FirstUsed: ago(9 * time.Hour), LastUsed: ago(2 * time.Hour)}}
	shop.Spec.Verification = v1alpha1.Verification{Enforcement: v1alpha1.EnforcementInsecureAudit, AuditUntil: ago(-5 * 24 * time.Hour)}
	club := endpoint("club", v1alpha1.PlatformOfficialAccount, "Ready=False SecretNotFound", "SidecarCurrent=False RolloutQueued")
	club.Spec.Gateway = &v1alpha1.GatewayReference{Name: "front"}
	pay := endpoint("pay", v1alpha1.PlatformPay, "Ready=True Ready")
	wrong := endpoint("wrong", v1alpha1.PlatformWeCom, "Ready=False StatusRefused", "Reachable=False NotReachable", "BackendAvailable=False NoBackendPods",
		"SidecarCurrent=False RolloutFailed", "BackendExposed=True BackendExposed", "WrongReceiver=True WrongReceiver")
	wrong.Spec.Paused, wrong.Spec.Unreadable = true, []string{"spec.url is b"}
	front := v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front"}, Spec: v1alpha1.WeChatGatewaySpec{Paused: true}}
	front.Status = v1alpha1.WeChatGatewayStatus{Endpoints: new(int32(1)), Pods: new(int32(1)), Left: []string{"many"}, Conditions: says("Ready=True Ready", "SidecarCurrent=True SidecarCurrent")}
	return &cache{
		endpoints: []v1alpha1.WeChatEndpoint{shop, club, pay, wrong}, gateways: []v1alpha1.WeChatGateway{front},
		secrets: []corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "pay"}, Data: map[string][]byte{v1alpha1.KeyCertificates: certificate}}},
	}
}

// says makes conditions of TYPE=STATUS REASON.
func says(words ...string) []metav1.Condition {
	conditions := make([]metav1.Condition, len(words))
	for i, word := range words {
		kind, rest, _ := strings.Cut(word, "=")
		status, reason, _ := strings.Cut(rest, " ")
		conditions[i] = metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason}
	}
	return conditions
}
