// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	core "k8s.io/client-go/applyconfigurations/core/v1"
	networking "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// example is an endpoint as the API server would store it.
func example() Input {
	return Input{
		BackendURL: "http://shop-app.team-a.svc:8080", Pairs: []config.Pair{{Generation: 3, Token: "golden-token"}},
		GatewayKey: []byte("golden-gateway-key-of-32-bytes!!"),
		Installed:  Installed{Image: "example.com/sidecar:1", PullPolicy: "IfNotPresent"},
		Endpoint: &v1alpha1.WeChatEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop", UID: "0f7c"},
			Spec: v1alpha1.WeChatEndpointSpec{
				Platform: v1alpha1.PlatformOfficialAccount, AppID: "wx5823bf96d3bd56c7", MessageMode: v1alpha1.MessageModePlaintext,
				Credentials: v1alpha1.CredentialsReference{SecretName: "shop-wechat"},
				URL:         v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: v1alpha1.ExposureIngress},
				Backend:     v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "shop-app", Port: intstr.FromInt32(8080)}},
			},
		},
	}
}

// TestGolden compares all children of an endpoint with a file: testdata/CASE.yaml, and what they are rendered from with
// testdata/inputs/CASE.yaml. Read the difference, and run
// `go test ./controllers/internal/render -update` if it is meant.
func TestGolden(t *testing.T) {
	publicKey, err := os.ReadFile("testdata/pub_key.pem") // its private half is gone
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile("testdata/ca.pem") // likewise
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Input, *v1alpha1.WeChatEndpointSpec){
		"minimal": func(*Input, *v1alpha1.WeChatEndpointSpec) {},
		"everything": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.MessageMode = v1alpha1.MessageModeCompatible
			spec.ReceiverIDs = []string{"wx5823bf96d3bd56c7", ""}
			spec.URL.Ingress = &v1alpha1.IngressExposure{
				ClassName: "traefik", TLSSecretName: "wx-tls", Annotations: map[string]v1alpha1.AnnotationValue{"cert-manager.io/issuer": "le"},
			}
			spec.Backend.Path = "/callback/"
			spec.Backend.Payload = v1alpha1.PayloadOriginal
			spec.Backend.Deadline = &metav1.Duration{Duration: 2 * time.Second}
			spec.Backend.OnDeadline = v1alpha1.OnDeadlineAwaitRetry
			spec.Rules = []v1alpha1.Rule{
				{Match: v1alpha1.RuleMatch{Event: "TEMPLATESENDJOBFINISH"}, Action: v1alpha1.RuleActionDiscard},
				{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &v1alpha1.Backend{
					Service: v1alpha1.ServiceReference{Name: "chat", Port: intstr.FromString("http")},
					Payload: v1alpha1.PayloadDecrypted, OnDeadline: v1alpha1.OnDeadlineFail,
				}},
				{Match: v1alpha1.RuleMatch{MsgType: "event", Event: "subscribe"}, Action: v1alpha1.RuleActionForward},
			}
			in.RuleURLs = []string{"", "http://chat.team-a.svc:80", ""}
			spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
			spec.Verification.Freshness = &metav1.Duration{Duration: time.Minute}
			spec.Verification.Enforcement = v1alpha1.EnforcementInsecureAudit
			spec.Verification.AuditUntil = &metav1.Time{Time: time.Date(2026, 1, 31, 20, 0, 0, 0, time.FixedZone("", 8*3600))}
			spec.Sidecar.Replicas = new(int32(5))
			spec.Sidecar.Resources = &corev1.ResourceRequirements{
				Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000m"), corev1.ResourceMemory: resource.MustParse("131072Ki")},
			}
			in.Pairs[0].EncodingAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
			in.Copied = true
		},
		"not-published": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Exposure = v1alpha1.ExposureNone },
		"httproute": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.URL.Exposure = v1alpha1.ExposureHTTPRoute
			spec.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{
				{Name: "edge", Namespace: "platform", SectionName: "secure"}, {Name: "local"},
			}}
			spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
		},
		"backend-tls": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Backend.Service.Namespace = "team-b"
			spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: string(authority), ServerName: "shop.example.com"}
			in.BackendURL = "https://shop-app.team-b.svc:8443"
		},
		"bare-address": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) { spec.URL.Host = "" },
		"placed": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			in.Defaults = placed()
			spec.Sidecar.Tolerations = []corev1.Toleration{} // none of the installation's
			spec.Sidecar.NodeSelector = map[string]string{"disk": "ssd"}
		},
		"labelled": func(in *Input, _ *v1alpha1.WeChatEndpointSpec) {
			in.CommonLabels = map[string]string{"example.com/team": "platform"}
			in.PodLabels = map[string]string{"example.com/team": "platform", "example.com/mesh": "off"}
			in.PodAnnotations = map[string]string{"example.com/scrape": "a \"b\""}
			in.PodSecurityContext = PodSecurityContext{RunAsUser: new(int64(1000)), RunAsGroup: new(int64(2000)), FSGroup: new(int64(3000))}
		},
		"autoscaled": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(3)), MaxReplicas: 9, TargetCPUUtilizationPercentage: new(int32(50))}
		},
		"isolated": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			in.OperatorNamespace, in.NetworkPolicy = "platform", NetworkPolicy{Enabled: true}
		},
		"isolated-both-ways": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			in.OperatorNamespace = "platform"
			in.NetworkPolicy = NetworkPolicy{Enabled: true, Egress: true, MetricsFrom: []metav1.LabelSelector{
				{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "monitoring"}},
				{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "metrics", Operator: metav1.LabelSelectorOpExists}}},
			}}
			forward := func(namespace string) v1alpha1.Rule {
				return v1alpha1.Rule{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &v1alpha1.Backend{
					Service: v1alpha1.ServiceReference{Name: "chat", Namespace: namespace, Port: intstr.FromInt32(80)},
				}}
			}
			spec.Rules = []v1alpha1.Rule{forward("team-b"), forward(""), forward("team-b")}
			in.RuleURLs = []string{"http://chat.team-b.svc:80", "http://chat.team-a.svc:80", "http://chat.team-b.svc:80"}
			in.Tracing = config.Tracing{Endpoint: "http://otel-collector.observability.svc:4318"}
		},
		"placeholder": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Platform, spec.MessageMode = v1alpha1.PlatformOpenPlatform, v1alpha1.MessageModeEncrypted
			spec.URL.Path = "/platform/messages/$APPID$/callback"
			spec.Rules = []v1alpha1.Rule{{Match: v1alpha1.RuleMatch{InfoType: "component_verify_ticket"}, Action: v1alpha1.RuleActionForward}}
			in.RuleURLs = []string{""}
			in.Pairs[0].EncodingAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
		},
		"on-a-gateway": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Gateway = &v1alpha1.GatewayReference{Name: "front"}
		},
		"on-a-gateway-not-published": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Gateway, spec.URL.Exposure = &v1alpha1.GatewayReference{Name: "front"}, v1alpha1.ExposureNone
		},
		"on-a-gateway-by-httproute": func(_ *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Gateway, spec.URL.Exposure = &v1alpha1.GatewayReference{Name: "front"}, v1alpha1.ExposureHTTPRoute
			spec.URL.HTTPRoute = &v1alpha1.HTTPRouteExposure{ParentRefs: []v1alpha1.ParentReference{{Name: "local"}}}
		},
		"leaving-its-own-pods": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Gateway, in.LeadsTo, in.KeepsOwn = &v1alpha1.GatewayReference{Name: "front"}, "shop-sidecar", true
		},
		"leaving-a-gateway": func(in *Input, _ *v1alpha1.WeChatEndpointSpec) { in.LeadsTo = "front-wechat-gateway" },
		"root": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.URL.Path, spec.URL.Query = "/", "id=5"
			spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
		},
		"placeholder-first": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Platform, spec.MessageMode = v1alpha1.PlatformOpenPlatform, v1alpha1.MessageModeEncrypted
			spec.URL.Path = "/$APPID$/callback"
			spec.DomainFiles = []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
			in.Pairs[0].EncodingAESKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
		},
		"pay": func(in *Input, spec *v1alpha1.WeChatEndpointSpec) {
			spec.Platform, spec.MessageMode, spec.AppID = v1alpha1.PlatformPay, "", "1900000109"
			in.Pairs = []config.Pair{{
				Generation: 3, APIv3Key: "abcdefghijklmnopqrstuvwxyz012345",
				PlatformKeys: map[string]string{"PUB_KEY_ID_0112345678902024": string(publicKey)},
			}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := example()
			edit(&in, &in.Endpoint.Spec)
			input, err := yaml.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "inputs", name+".yaml"), input) // the tests of the admission policy begin there
			compareGolden(t, filepath.Join("testdata", name+".yaml"), renderYAML(t, in))
			compareGolden(t, filepath.Join("testdata", "documents", name+".json"), renderDocument(t, in)) // which is base64 in the Secret
		})
	}
}

// TestGoldenGateway does the same for a gateway.
func TestGoldenGateway(t *testing.T) {
	for name, edit := range map[string]func(*GatewayInput){
		"gateway": func(*GatewayInput) {},
		"gateway-with-everything": func(in *GatewayInput) {
			in.Gateway.Spec.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: new(int32(3)), MaxReplicas: 9, TargetCPUUtilizationPercentage: new(int32(50))}
			in.Defaults, in.OperatorNamespace = placed(), "platform"
			in.CommonLabels = map[string]string{"example.com/team": "platform"}
			in.PodSecurityContext = PodSecurityContext{RunAsUser: new(int64(1000))}
			in.NetworkPolicy = NetworkPolicy{Enabled: true, Egress: true}
			in.Lane = LaneStandard
			in.Tracing = config.Tracing{Endpoint: "http://collector.platform.svc:4318", SamplingRatePerMillion: new(5)}
			in.Backends = []string{"team-a", "team-b"}
			in.Shards[0] = Shard{"shop": []byte(`{"generation":"one"}`), "game": []byte(`{"generation":"two"}`)}
			in.Shards[15] = Shard{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := GatewayInput{
				Installed: Installed{Image: "example.com/sidecar:1", PullPolicy: "IfNotPresent"},
				Gateway:   &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front", UID: "1a2b"}},
			}
			edit(&in)
			input, err := yaml.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "gateways", "inputs", name+".yaml"), input)
			children, err := MakeGateway(in)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", "gateways", name+".yaml"), toYAML(t, children))
		})
	}
}

// TestPodsOfNobodyReachNothing but DNS and each other: a gateway has no endpoints at first, and a rule that names no peers would allow all.
func TestPodsOfNobodyReachNothing(t *testing.T) {
	in := GatewayInput{Gateway: &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front"}}}
	in.NetworkPolicy = NetworkPolicy{Enabled: true, Egress: true}
	for want, backends := range map[int][]string{2: nil, 3: {"team-a"}} {
		in.Backends = backends
		children, err := MakeGateway(in)
		if err != nil {
			t.Fatal(err)
		}
		policies := 0
		for _, child := range children {
			policy, is := child.(*networking.NetworkPolicyApplyConfiguration)
			if !is {
				continue
			}
			policies++
			if len(policy.Spec.Egress) != want || len(policy.Spec.Egress[0].Ports) != 4 {
				t.Errorf("to %v: %+v", backends, policy.Spec.Egress)
			}
			for _, rule := range policy.Spec.Egress[1:] {
				if len(rule.To) == 0 {
					t.Errorf("to %v: a rule allows all", backends)
				}
			}
		}
		if policies != 1 {
			t.Errorf("there are %d policies", policies)
		}
	}
}

// TestShardsComeFirst, and only those that are given: what was revoked waits for nothing else.
func TestShardsComeFirst(t *testing.T) {
	in := GatewayInput{Gateway: &v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front"}}}
	in.Shards[3], in.Shards[12] = Shard{"shop": []byte("{}")}, Shard{}
	children, err := MakeGateway(in)
	if err != nil {
		t.Fatal(err)
	}
	for i, child := range children {
		secret, is := child.(*core.SecretApplyConfiguration)
		if is != (i < 2) {
			t.Errorf("object %d is a shard: %v", i, is)
		}
		if want := map[int]string{0: "front-wechat-gateway-3", 1: "front-wechat-gateway-12"}[i]; is && *secret.Name != want {
			t.Errorf("shard %d is %s, want %s", i, *secret.Name, want)
		}
	}
}

func compareGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil { //nolint:gosec // a file for everybody to read
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("not what %s has (-want +got):\n%s", path, diff)
	}
}

func renderYAML(t *testing.T, in Input) []byte {
	t.Helper()
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return toYAML(t, objects.Children)
}

func toYAML(t *testing.T, children []runtime.ApplyConfiguration) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, child := range children {
		text, err := yaml.Marshal(child)
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return out.Bytes()
}

// renderDocument is the sidecar's document, for people.
func renderDocument(t *testing.T, in Input) []byte {
	t.Helper()
	_, text, err := makeDocument(in)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

func TestGenerationFollowsWhatIsServedAndNothingElse(t *testing.T) {
	base := generation(t, example())
	for name, test := range map[string]struct {
		edit    func(*Input)
		changes bool
	}{
		"another path":                   {func(in *Input) { in.Endpoint.Spec.URL.Path = "/other" }, true},
		"another backend":                {func(in *Input) { in.BackendURL = "http://other.team-a.svc:80" }, true},
		"another receiver":               {func(in *Input) { in.Endpoint.Spec.ReceiverIDs = []string{"wx2"} }, true},
		"another payload":                {func(in *Input) { in.Endpoint.Spec.Backend.Payload = v1alpha1.PayloadOriginal }, true},
		"another answer at the deadline": {func(in *Input) { in.Endpoint.Spec.Backend.OnDeadline = v1alpha1.OnDeadlineFail }, true},
		"a domain file":                  {func(in *Input) { in.Endpoint.Spec.DomainFiles = []v1alpha1.DomainFile{{Name: "a.txt", Content: "a"}} }, true},
		"a rule": {func(in *Input) {
			in.Endpoint.Spec.Rules = []v1alpha1.Rule{{Match: v1alpha1.RuleMatch{Event: "a"}, Action: v1alpha1.RuleActionDiscard}}
		}, true},
		"another gateway key, which only a loss changes": {func(in *Input) { in.GatewayKey = make([]byte, 32) }, false},
		"older credentials beside": {func(in *Input) {
			in.Pairs = append(in.Pairs, config.Pair{Generation: 2, Token: "older-token"})
		}, true},
		"an endpoint made anew":         {func(in *Input) { in.Endpoint.UID = "another" }, true},
		"changed credentials":           {func(in *Input) { in.Pairs[0].Generation = 4 }, true},
		"more replicas":                 {func(in *Input) { in.Endpoint.Spec.Sidecar.Replicas = new(int32(9)) }, false},
		"another image":                 {func(in *Input) { in.Image = "example.com/sidecar:2" }, false},
		"another token, the same count": {func(in *Input) { in.Pairs[0].Token = "another-token" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := example()
			test.edit(&in)
			if changed := generation(t, in) != base; changed != test.changes {
				t.Errorf("changed: %v, want %v", changed, test.changes)
			}
		})
	}
}

// TestAnEndOfOlderCredentialsChangesTheGeneration: so that pods that have not loaded it are seen.
func TestAnEndOfOlderCredentialsChangesTheGeneration(t *testing.T) {
	in := example()
	in.Pairs = append(in.Pairs, config.Pair{Generation: 2, Token: "older-token"})
	endless := generation(t, in)
	in.Pairs[1].NotAfter = new(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	ending := generation(t, in)
	in.Pairs[1].NotAfter = new(time.Date(2026, 1, 31, 13, 0, 0, 0, time.UTC))
	if later := generation(t, in); endless == ending || ending == later || endless == later {
		t.Errorf("the generations are %s, %s and %s", endless, ending, later)
	}
}

func generation(t *testing.T, in Input) string {
	t.Helper()
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	return objects.Generation
}

func TestTokenStandsInTheSecretOnly(t *testing.T) {
	in := example()
	in.Pairs[0].Token = "printable-token"
	objects, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range objects.Children {
		text, err := yaml.Marshal(child)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), in.Pairs[0].Token) {
			t.Errorf("the token stands in clear in:\n%s", text)
		}
	}
}

func TestWhatTheSidecarWouldRefuseIsNotRendered(t *testing.T) {
	in := example()
	in.Pairs[0].Token = "white space at the end\n"
	if _, err := Make(in); err == nil || strings.Contains(err.Error(), "white space at the end\n") {
		t.Errorf("error %v; want one that does not quote the token", err)
	}
}

func TestWhatCannotDecryptIsNotRendered(t *testing.T) {
	in := example()
	in.Endpoint.Spec.MessageMode = v1alpha1.MessageModeEncrypted
	if _, err := Make(in); err == nil || !strings.Contains(err.Error(), "encodingAESKey is missing") {
		t.Errorf("error %v; want one that names encodingAESKey", err)
	}
}

func TestRoutesOverlap(t *testing.T) {
	exact := func(path string) Route { return Route{Path: path} }
	below := func(path string) Route { return Route{Path: path, Prefix: true} }
	for name, test := range map[string]struct {
		a, b Route
		want bool
	}{
		"the same path":                     {exact("/a"), exact("/a"), true},
		"a path below the other":            {exact("/a"), exact("/a/b"), false},
		"a path below a prefix":             {below("/a"), exact("/a/b"), true},
		"the prefix itself":                 {below("/a"), exact("/a"), true},
		"a path that begins like a prefix":  {below("/a"), exact("/ab"), false},
		"a path above a prefix":             {below("/a/b"), exact("/a"), false},
		"a prefix below a prefix":           {below("/a"), below("/a/b"), true},
		"a prefix beside a prefix":          {below("/a/c"), below("/a/b"), false},
		"a domain file under the same name": {exact("/a.txt"), exact("/a.txt"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if test.a.Overlaps(test.b) != test.want || test.b.Overlaps(test.a) != test.want {
				t.Errorf("%+v and %+v overlap: want %v", test.a, test.b, test.want)
			}
		})
	}
}

// TestTheMemoryOfAGatewaysPods bounds what they are given.
func TestTheMemoryOfAGatewaysPods(t *testing.T) {
	limited := func(memory string) *corev1.ResourceRequirements {
		return &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse(memory)}}
	}
	requested := &corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	for name, test := range map[string]struct {
		own, installed *corev1.ResourceRequirements
		want           int64
	}{
		"nothing is said":                   {nil, nil, 192 << 20},
		"the gateway has a limit":           {limited("256Mi"), limited("1Gi"), 256 << 20},
		"the installation has one":          {nil, limited("1Gi"), 1 << 30},
		"the gateway has requests alone":    {requested, limited("1Gi"), 64 << 20},
		"the gateway wants neither":         {&corev1.ResourceRequirements{}, nil, 64 << 20},
		"the gateway limits something else": {&corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}, nil, 64 << 20},
	} {
		in := GatewayInput{Gateway: &v1alpha1.WeChatGateway{}}
		in.Gateway.Spec.Resources, in.Defaults.Resources = test.own, test.installed
		if got := in.Memory(); got != test.want {
			t.Errorf("%s: %d MiB, want %d", name, got>>20, test.want>>20)
		}
	}
}
