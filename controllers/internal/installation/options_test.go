// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

func TestParseOptions(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		pod  string // the namespace of the operator's pod; empty outside of one
		want installation.Options
		err  string // part of it; empty for none
	}{
		"all that may be left out": {
			text: "sidecarImage: example.com/sidecar:1",
			want: installation.Options{SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "IfNotPresent"},
		},
		"what is set is read": {
			text: "sidecarImage: example.com/sidecar:1\nsidecarImagePullPolicy: Never\nallowEmptyHost: true\nallowedIngressAnnotations: [a.example.com/b]",
			want: installation.Options{
				SidecarImage: "example.com/sidecar:1", SidecarPullPolicy: "Never", AllowEmptyHost: true, AllowedIngressAnnotations: []string{"a.example.com/b"},
			},
		},
		"defaults of the sidecar's pods are read": {
			text: "sidecarImage: a\nsidecar: {nodeSelector: {disk: ssd}, imagePullSecrets: [{name: regcred}], tolerations: [{operator: Exists}], priorityClassName: high}",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", SidecarDefaults: v1alpha1.SidecarPod{
				NodeSelector: map[string]string{"disk": "ssd"}, ImagePullSecrets: []v1alpha1.PullSecret{{Name: "regcred"}},
				Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}, PriorityClassName: "high",
			}},
		},
		"a typing mistake in the defaults":             {text: "sidecarImage: a\nsidecar: {nodeSelectors: {}}", err: "nodeSelectors"},
		"replicas have no default of the installation": {text: "sidecarImage: a\nsidecar: {replicas: 3}", err: "replicas"},
		"who may read metrics": {
			text: "sidecarImage: a\noperatorNamespace: platform\nnetworkPolicy: {enabled: true, egress: true, metricsFrom: [{matchLabels: {metrics: allowed}}]}",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "platform", NetworkPolicy: render.NetworkPolicy{
				Enabled: true, Egress: true, MetricsFrom: []metav1.LabelSelector{{MatchLabels: map[string]string{"metrics": "allowed"}}},
			}},
		},
		"where the operator is, its pod tells": {
			text: "sidecarImage: a\nnetworkPolicy: {enabled: true}", pod: "platform",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "platform", NetworkPolicy: render.NetworkPolicy{Enabled: true}},
		},
		"and what is written counts more": {
			text: "sidecarImage: a\noperatorNamespace: other", pod: "platform",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "other"},
		},
		"how changes reach the endpoints": {
			text: "sidecarImage: a\nrollout: {maxEndpoints: 10, progressDeadline: 90s}",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", Rollout: installation.Rollout{
				MaxEndpoints: 10, ProgressDeadline: metav1.Duration{Duration: 90 * time.Second},
			}},
		},
		"where load balancers are": {
			text: "sidecarImage: a\nloadBalancerNetworks: [10.1.0.0/24, 'fd01::/64']",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", LoadBalancerNetworks: []netip.Prefix{
				netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd01::/64"),
			}},
		},
		"what is on the objects and the pods": {
			text: "sidecarImage: a\ncommonLabels: {team: platform}\npodLabels: {mesh: 'off'}\npodAnnotations: {example.com/Scrape: 'a b'}\npodSecurityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000}",
			want: installation.Options{
				SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", CommonLabels: map[string]string{"team": "platform"}, PodLabels: map[string]string{"mesh": "off"},
				PodAnnotations: map[string]string{"example.com/Scrape": "a b"}, PodSecurityContext: render.PodSecurityContext{
					RunAsUser: new(int64(1000)), RunAsGroup: new(int64(2000)), FSGroup: new(int64(3000)),
				},
			},
		},
		"a label that the operator sets":     {text: "sidecarImage: a\ncommonLabels: {app.kubernetes.io/name: b}", err: "commonLabels: app.kubernetes.io/name is the operator's own"},
		"a label of pods that it sets":       {text: "sidecarImage: a\npodLabels: {wechatendpoint.io/endpoint: b}", err: "podLabels: wechatendpoint.io/endpoint is the operator's own"},
		"an annotation that it sets":         {text: "sidecarImage: a\npodAnnotations: {wechatendpoint.io/generation: b}", err: "podAnnotations: wechatendpoint.io/generation is the operator's own"},
		"a label with a space":               {text: "sidecarImage: a\npodLabels: {team: a b}", err: "podLabels: Invalid value"},
		"an annotation with a space":         {text: "sidecarImage: a\npodAnnotations: {a b: c}", err: `podAnnotations: "a b" is no annotation`},
		"pods that run as root":              {text: "sidecarImage: a\npodSecurityContext: {runAsUser: 0}", err: "podSecurityContext.runAsUser is 0"},
		"a group that there cannot be":       {text: "sidecarImage: a\npodSecurityContext: {fsGroup: 2147483648}", err: "podSecurityContext.fsGroup is 2147483648"},
		"more is asked for than may be used": {text: "sidecarImage: a\nsidecar: {resources: {requests: {memory: 1Gi}, limits: {memory: 64Mi}}}", err: "the request of memory is above its limit"},
		"privileges, which no sidecar has":   {text: "sidecarImage: a\npodSecurityContext: {privileged: true}", err: "privileged"},
		"who is told of messages": {
			text: "sidecarImage: a\nsidecarLane: Standard\noperatorNamespace: b\nnetworkPolicy: {enabled: true, egress: true}\ntracing: {endpoint: 'http://otel.obs.svc:4318', samplingRatePerMillion: 1e5}",
			want: installation.Options{SidecarImage: "a", SidecarPullPolicy: "IfNotPresent", OperatorNamespace: "b",
				NetworkPolicy: render.NetworkPolicy{Enabled: true, Egress: true},
				SidecarLane:   render.LaneStandard,
				Tracing:       config.Tracing{Endpoint: "http://otel.obs.svc:4318", SamplingRatePerMillion: new(100_000)},
			},
		},
		"a collector that no policy can name": {
			text: "sidecarImage: a\noperatorNamespace: b\nnetworkPolicy: {enabled: true, egress: true}\ntracing: {endpoint: 'http://192.0.2.1:4318'}",
			err:  "networkPolicy.egress does not let the sidecars reach tracing.endpoint",
		},
		"a collector that is called by HTTPS":       {text: "sidecarImage: a\ntracing: {endpoint: 'https://otel.obs.svc:4318'}", err: "tracing.endpoint is not http://host:port"},
		"a sample of nothing":                       {text: "sidecarImage: a\ntracing: {endpoint: 'http://otel.obs.svc:4318', samplingRatePerMillion: 0}", err: "tracing.samplingRatePerMillion is 0"},
		"an address is no network":                  {text: "sidecarImage: a\nloadBalancerNetworks: [10.1.0.1]", err: "no '/'"},
		"a mode that there is not":                  {text: "sidecarImage: a\nsidecarMode: Shared", err: "set Dedicated or Gateway"},
		"a lane that there is not":                  {text: "sidecarImage: a\nsidecarLane: standard", err: "set Strict or Standard"},
		"a rollout to nobody":                       {text: "sidecarImage: a\nrollout: {maxEndpoints: -1}", err: "must be more than nothing"},
		"a policy that would lock the operator out": {text: "sidecarImage: a\nnetworkPolicy: {enabled: true}", err: "operatorNamespace is required"},
		"egress without a policy":                   {text: "sidecarImage: a\noperatorNamespace: b\nnetworkPolicy: {egress: true}", err: "without networkPolicy.enabled"},
		"an image is required":                      {text: "allowEmptyHost: true", err: "sidecarImage is required"},
		"a typing mistake is no choice":             {text: "sidecarImage: a\nallowEmptyHosts: true", err: "allowEmptyHosts"},
		"an unknown pull policy":                    {text: "sidecarImage: a\nsidecarImagePullPolicy: Sometimes", err: "set Always, IfNotPresent or Never"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := installation.ParseOptions([]byte(test.text), test.pod)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q in it", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		err  string // part of it; empty for none
	}{
		"nothing is the whole cluster":    {text: "", want: nil},
		"one":                             {text: "team-a", want: []string{"team-a"}},
		"several":                         {text: "team-a,team-b", want: []string{"team-a", "team-b"}},
		"an empty name is no namespace":   {text: "team-a,", err: `"" is not the name of a namespace`},
		"a space is no part of a name":    {text: "team-a, team-b", err: `" team-b" is not the name of a namespace`},
		"a wildcard is no namespace":      {text: "*", err: `"*" is not the name of a namespace`},
		"the same one twice is a mistake": {text: "team-a,team-a", err: "namespace team-a is listed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := installation.ParseNamespaces(test.text)
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("the error is %v and not %q", err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestWhatServesByDefault: only an endpoint that says nothing is placed, and only where the installation says so.
func TestWhatServesByDefault(t *testing.T) {
	type spec = v1alpha1.WeChatEndpointSpec
	named := &v1alpha1.GatewayReference{Name: "front"}
	for name, test := range map[string]struct {
		mode installation.Mode
		spec spec
		want string
	}{
		"nothing is said anywhere":            {"", spec{Platform: "Shop"}, ""},
		"the installation wants own pods":     {installation.ModeDedicated, spec{Platform: "Shop"}, ""},
		"the installation wants a gateway":    {installation.ModeGateway, spec{Platform: "Shop"}, installation.DefaultGateway},
		"the endpoint names another one":      {installation.ModeGateway, spec{Platform: "Shop", Gateway: named}, "front"},
		"the endpoint sizes pods of its own":  {installation.ModeGateway, spec{Platform: "Shop", Sidecar: v1alpha1.Sidecar{Replicas: new(int32(2))}}, ""},
		"what the endpoint says is not known": {installation.ModeGateway, spec{Platform: "Shop", Unreadable: []string{"spec.gateway is no object"}}, ""},
	} {
		options, endpoint := installation.Options{SidecarMode: test.mode}, &v1alpha1.WeChatEndpoint{Spec: test.spec}
		for range 2 { // what is kept is kept again
			options.Place(endpoint)
		}
		got := ""
		if endpoint.Spec.Gateway != nil {
			got = endpoint.Spec.Gateway.Name
		}
		if got != test.want {
			t.Errorf("%s: it is served by gateway %q, want %q", name, got, test.want)
		}
	}
	if options := (installation.Options{SidecarMode: installation.ModeGateway}); !options.Makes(installation.DefaultGateway) || options.Makes("front") {
		t.Error("the operator makes the gateway that is shared by default, and no other")
	}
	if options := (installation.Options{}); options.Makes(installation.DefaultGateway) {
		t.Error("the operator makes a gateway that nobody shares by default")
	}
}
