// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// labelled is a Secret that the operator sees.
func labelled(s *corev1.Secret) *corev1.Secret {
	s.Labels = map[string]string{v1alpha1.LabelCredentials: "true"}
	return s
}

func TestDoctorOfAHealthyEndpoint(t *testing.T) {
	pair := config.Pair{Token: token}
	address := gateway(t, demo(), pair, answer("success"))
	there := cluster(t, demo(seen), labelled(secret(token)), servingPod("demo-1", true, ofDemo))
	run(t, there, "", "doctor", "demo", "--url", wxURL, "--address", address).check(t, StatusOK,
		"endpoint  shop/demo\n", "url       "+wxURL+"\n", "Found from here:\nok         nothing that WeChat would refuse\n", "Found in the cluster:\nok         nothing",
		"What only WeChat sees:\ncompare    whether the console holds the same token and key (console_token)\n", "ok: nothing was found for which WeChat would refuse the URL\n")
}

func TestDoctorNamesTheCauseAndTheRemedy(t *testing.T) {
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		objects []client.Object
		args    string
		status  int
		words   []string
	}{
		"another token in the pods": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, []client.Object{demo(), labelled(secret(token))}, "", StatusRefused,
			[]string{"FAILED     the server answered 403 Forbidden, most likely because it has another token", "(forbidden)\n           do: compare the token"}},
		"a half-made endpoint, without a Secret": {correct, []client.Object{demo(func(e *v1alpha1.WeChatEndpoint) { e.Status.Conditions = nil })}, "", StatusRefused,
			[]string{"unknown    the URL was called without the account's token, and refused that, as it should (no_token)", "FAILED     there is no Secret shop/demo-token (secret)\n           do: create it, or correct spec.credentials.secretName; kubectl wechat init writes one"}},
		"a half-made endpoint, without a host": {correct, []client.Object{demo(func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Host = "" }, condition(v1alpha1.ConditionReady, "False", v1alpha1.ReasonHostRequired, "set it")), labelled(secret(token))}, "", StatusRefused,
			[]string{"FAILED     Ready: set it (HostRequired)\n           do: set url.host, or ask"}},
		"the newline of echo": {correct, []client.Object{demo(), labelled(secret(token + "\n"))}, "", StatusRefused,
			[]string{"the token in the key token of Secret shop/demo-token begins or ends with white space, such as the newline of echo", "do: write the value again"}},
		"a pod that does not answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, []client.Object{demo(), labelled(secret(token)), servingPod("demo-1", false, ofDemo)}, "", StatusRefused,
			[]string{"503 Service Unavailable", "FAILED     pod demo-1 does not serve: container sidecar waits: ImagePullBackOff no such image (pod)", "do: see kubectl -n shop describe pod demo-1"}},
		"in Chinese": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, []client.Object{demo(), labelled(secret(token))}, "--lang zh", StatusRefused,
			[]string{"从本机发现的：\n失败       没有服务响应这个域名和路径", "处理：逐字对照 endpoint 的域名和路径"}},
		"what could steer a terminal": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "a\u202eb")
			w.WriteHeader(http.StatusMethodNotAllowed)
		}, []client.Object{demo(), labelled(secret(token))}, "", StatusRefused,
			[]string{"another web server answers this host and path (ab)"}},
		"a platform without a URL check": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) },
			[]client.Object{demo(encrypted(v1alpha1.PlatformPay, "")), labelled(paySecret("no key"))}, "", StatusRefused, []string{"(not_checked)", "(secret_value)"}},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"doctor", "demo", "--address", serve(t, test.handler)}, strings.Fields(test.args)...)
			run(t, cluster(t, test.objects...), "", args...).check(t, test.status, test.words...)
		})
	}
}

// TestVerifyAndDoctorNameTheSameCause: they decide by the same function.
func TestVerifyAndDoctorNameTheSameCause(t *testing.T) {
	expired := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(expired.Close)
	for name, address := range map[string]string{
		"https://wx.example.com/weixin": expired.Listener.Addr().String(), // a certificate that signs itself
		wxURL: serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "nginx")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("<html>"))
		}),
	} {
		verify := run(t, noCluster(t), token, "verify", "--url", name, "--token-file", "-", "--address", address)
		doctor := run(t, noCluster(t), token, "doctor", "--url", name, "--token-file", "-", "--address", address, "-o", "json")
		var d Diagnosis
		if err := json.Unmarshal([]byte(doctor.out), &d); err != nil || !d.Refused || len(d.Findings) == 0 {
			t.Fatalf("%v: %s", err, doctor.out)
		}
		verify.check(t, StatusRefused, "refused: "+d.Findings[0].Text+"\n", "do: "+d.Findings[0].Do)
	}
}

// TestDoctorWithoutRights says what could not be looked at, and judges the rest.
func TestDoctorWithoutRights(t *testing.T) {
	inner, _, err := cluster(t, demo())(nil)
	if err != nil {
		t.Fatal(err)
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", errors.New("not you"))
	c := interceptor.NewClient(inner.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			if _, is := object.(*corev1.Secret); is {
				return forbidden
			}
			return c.Get(ctx, key, object, options...)
		},
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
			return forbidden
		},
	})
	run(t, connectTo(c), "", "doctor", "demo", "--address", serve(t, correct)).check(t, StatusOK,
		"unknown    Secret shop/demo-token could not be looked at: you may not get it (unseen)", "unknown    the pods could not be looked at: you may not list them",
		"unknown    the Ingresses could not be looked at: you may not list them", "(no_token)")
}

// TestDoctorSeesTheIngressesOfItsNamespace where it may not see the others.
func TestDoctorSeesTheIngressesOfItsNamespace(t *testing.T) {
	site := &networkingv1.Ingress{Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "wx.example.com", IngressRuleValue: networkingv1.IngressRuleValue{
		HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: "/weixin"}}}}}}}}
	site.Namespace, site.Name = "shop", "site"
	inner, _, err := cluster(t, demo(), labelled(secret(token)), site)(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := interceptor.NewClient(inner.(client.WithWatch), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if len(options) == 0 {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "ingresses"}, "", errors.New("not you"))
			}
			return c.List(ctx, list, options...)
		},
	})
	run(t, connectTo(c), "", "doctor", "demo", "--address", serve(t, correct)).check(t, StatusRefused, "Ingress shop/site has the same host and path", "(ingress_other)")
}

func TestDoctorHidesATokenInTheURL(t *testing.T) {
	run(t, noCluster(t), token, "doctor", "--url", wxURL+"?key="+token, "--token-file", "-", "--address", serve(t, correct)).check(t, StatusOK, "url       "+wxURL+"?key=…\n")
}

// TestDoctorPutsAnIDInPlaceOfThePlaceholder: no endpoint's URL is called as it stands there.
func TestDoctorPutsAnIDInPlaceOfThePlaceholder(t *testing.T) {
	called := ""
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { called = r.URL.Path; w.WriteHeader(http.StatusForbidden) })
	endpoint := demo(encrypted(v1alpha1.PlatformOpenPlatform, ""), func(e *v1alpha1.WeChatEndpoint) { e.Spec.URL.Path = "/p/$APPID$" })
	run(t, cluster(t, endpoint, labelled(encryptedSecret())), "", "doctor", "demo", "--address", address).check(t, StatusOK, "(not_checked)")
	if called != "/p/wx1" {
		t.Errorf("%q was called", called)
	}
}

func TestDoctorOfWhatIsNotThere(t *testing.T) {
	run(t, cluster(t, demo()), "", "doctor", "dem").check(t, StatusUsage, "did you mean demo?")
	run(t, noCluster(t), "", "doctor").check(t, StatusUsage, "name an endpoint, or a URL with --url")
	run(t, noCluster(t), token, "doctor", "--url", "http://wx.example.com:81/", "--token-file", "-").check(t, StatusRefused, "(port)")
	run(t, noCluster(t), token, "doctor", "--url", wxURL, "--token-file", "-", "-o", "wide").check(t, StatusUsage, "--output must be json or yaml")
	run(t, refusing(t, errors.New("weather")), "", "doctor", "demo").check(t, StatusUsage, "reading WeChatEndpoint shop/demo: weather")
}
