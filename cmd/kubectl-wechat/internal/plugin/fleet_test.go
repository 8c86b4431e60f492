// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// Names of Deployments, as the operator writes them into a status.
const (
	ownPods   = "demo-sidecar"
	frontPods = "front-wechat-gateway"
	backPods  = "back-wechat-gateway"
)

// on asks for a gateway, and was published by the pods of a Deployment; before that by those of another one.
func on(gateway, leadsTo, former string) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) {
		if gateway != "" {
			e.Spec.Gateway = &v1alpha1.GatewayReference{Name: gateway}
		}
		e.Status.Fleet = v1alpha1.FleetStatus{LeadsTo: leadsTo, Former: former}
		e.Status.Published = []v1alpha1.PublishedRoute{{By: v1alpha1.ExposureIngress}}
	}
}

func isNew(e *v1alpha1.WeChatEndpoint) { e.Status.Published = nil }

// TestWhosePodsServe names them, whatever the endpoint moves to, and leads to their logs.
func TestWhosePodsServe(t *testing.T) {
	const ownLog = "kubectl -n shop logs -l wechatendpoint.io/endpoint=demo --since 1m --tail 100"
	gatewayLog := func(name string) string {
		return "kubectl -n shop logs -l wechatendpoint.io/gateway=" + name + ` --since 1m --tail=-1 | grep -F '"endpoint":"shop/demo"'`
	}
	byUser := func(e *v1alpha1.WeChatEndpoint) {
		e.Spec.URL.Exposure = v1alpha1.ExposureNone
		e.Status.Published, e.Status.Credentials.Generation = nil, 1
	}
	for name, test := range map[string]struct {
		endpoint          *v1alpha1.WeChatEndpoint
		pods, named, logs string
	}{
		"its own":                            {demo(on("", "", "")), "", "demo", ownLog},
		"a gateway's":                        {demo(on("front", frontPods, "")), "the pods of WeChatGateway front", "demo (WeChatGateway front)", gatewayLog("front")},
		"a gateway's, which nobody saw yet":  {demo(on("front", "", ""), isNew), "the pods of WeChatGateway front", "demo (WeChatGateway front)", gatewayLog("front")},
		"on its way to a gateway":            {demo(on("front", "", "")), "its own pods; the endpoint moves to the pods of WeChatGateway front", "demo", ownLog},
		"on its way, published by the user":  {demo(on("front", "", ""), byUser), "its own pods; the endpoint moves to the pods of WeChatGateway front", "demo", ownLog},
		"led there a moment ago":             {demo(on("front", frontPods, ownPods)), "the pods of WeChatGateway front; its own pods serve for some seconds, too", "demo (WeChatGateway front)", gatewayLog("front") + " ; " + ownLog},
		"on its way from one to another":     {demo(on("back", frontPods, "")), "the pods of WeChatGateway front; the endpoint moves to the pods of WeChatGateway back", "demo (WeChatGateway front)", gatewayLog("front")},
		"led to another one a moment ago":    {demo(on("back", backPods, frontPods)), "the pods of WeChatGateway back; the pods of WeChatGateway front serve for some seconds, too", "demo (WeChatGateway back)", gatewayLog("back") + " ; " + gatewayLog("front")},
		"on its way back to its own":         {demo(on("", frontPods, "")), "the pods of WeChatGateway front; the endpoint moves to its own pods", "demo (WeChatGateway front)", gatewayLog("front")},
		"back at its own since a moment ago": {demo(on("", ownPods, frontPods)), "its own pods; the pods of WeChatGateway front serve for some seconds, too", "demo", ownLog + " ; " + gatewayLog("front")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := servers(test.endpoint).String(); got != test.pods {
				t.Errorf("served by %q, want %q", got, test.pods)
			}
			if got := named(test.endpoint).String(); got != test.named {
				t.Errorf("named %q, want %q", got, test.named)
			}
			if got := logs(test.endpoint); got != test.logs {
				t.Errorf("the log is read by %s, want %s", got, test.logs)
			}
		})
	}
}

// TestACommandNamesTheGateway, before it says what came back, and whose log has the reason.
func TestACommandNamesTheGateway(t *testing.T) {
	endpoint := demo(on("front", frontPods, ""))
	address := gateway(t, endpoint, config.Pair{Token: token}, answer("success"))
	run(t, cluster(t, endpoint, secret(token)), "", "send", "demo", "--address", address).check(t, StatusOK, "served by the pods of WeChatGateway front\n")
	result := run(t, cluster(t, endpoint, secret(token)), "", "verify", "demo", "--address", address, "--token-file", file(t, "another"))
	result.check(t, StatusRefused, "served by the pods of WeChatGateway front\n", "do: see the reason in the sidecar's log: kubectl -n shop logs -l wechatendpoint.io/gateway=front")
	if own := run(t, cluster(t, demo(), secret(token)), "", "send", "demo", "--address", address); strings.Contains(own.out, "served by") {
		t.Errorf("it speaks of pods where there is nothing to say:\n%s", own.out)
	}
}

func wxg(paused bool) *v1alpha1.WeChatGateway {
	return &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front"}, Spec: v1alpha1.WeChatGatewaySpec{Paused: paused}}
}

func TestRotateOnAGateway(t *testing.T) {
	there := on("front", frontPods, "")
	t.Run("names the gateway", func(t *testing.T) {
		c := operated(t, awake, servedDemo(there), wxg(false), secret(token))
		run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes").check(t, StatusOK,
			"every sidecar of demo (WeChatGateway front) accepts generation 2", "every sidecar of demo (WeChatGateway front) refuses every generation before 2")
	})
	t.Run("changes nothing while the gateway is paused", func(t *testing.T) {
		c := operated(t, awake, servedDemo(there), wxg(true), secret(token))
		run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes").check(t, StatusUsage,
			"WeChatGateway front is paused, so that its pods would not get new values of WeChatEndpoint demo: set its spec.paused to false first; nothing is changed")
		var now corev1.Secret
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret(token)), &now); err != nil || string(now.Data[v1alpha1.KeyToken]) != token {
			t.Errorf("the Secret was changed (%v)", err)
		}
	})
	t.Run("likewise one that it moves to", func(t *testing.T) {
		c := operated(t, awake, servedDemo(on("front", "", "")), wxg(true), secret(token))
		run(t, connectTo(c), "", "rotate", "demo").check(t, StatusUsage, "WeChatGateway front is paused")
	})
	t.Run("needs no right to read it", func(t *testing.T) {
		c := interceptor.NewClient(operated(t, awake, servedDemo(there), wxg(true), secret(token)), interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
				if _, is := object.(*v1alpha1.WeChatGateway); is {
					return errors.New("forbidden")
				}
				return c.Get(ctx, key, object, options...)
			},
		})
		run(t, connectTo(c), "", "rotate", "demo").check(t, StatusOK, "every sidecar of demo (WeChatGateway front) accepts generation 2")
	})
	t.Run("does not call it served while others serve, too", func(t *testing.T) {
		c := operated(t, awake, servedDemo(on("front", frontPods, ownPods)), wxg(false), secret(token))
		run(t, connectTo(c), "", "rotate", "demo", "--timeout", "1ms").check(t, StatusUsage,
			"not every sidecar of demo (WeChatGateway front) is known to serve it (its own pods serve for some seconds, too: wait until the move has ended)")
	})
}
