// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/exposition"
)

var update = flag.Bool("update", false, "write the golden file and the section of docs/metrics.md anew, in both languages")

// collector shows the metrics of objects that stand still.
type collector Objects

func (collector) Describe(to chan<- *prometheus.Desc) { Describe(to) }

func (c collector) Collect(to chan<- prometheus.Metric) {
	for metric := range Of(Objects(c)) {
		to <- metric
	}
}

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func at(from time.Duration) *metav1.Time { return new(metav1.NewTime(now.Add(from))) }

func endpoint(name string, platform v1alpha1.Platform, edits ...func(*v1alpha1.WeChatEndpoint)) v1alpha1.WeChatEndpoint {
	e := v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: name}}
	e.Spec.Platform = platform
	e.Spec.Credentials.SecretName = name
	for _, edit := range edits {
		edit(&e)
	}
	return e
}

func says(conditionType string, status metav1.ConditionStatus, reason string) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) {
		e.Status.Conditions = append(e.Status.Conditions, metav1.Condition{Type: conditionType, Status: status, Reason: reason})
	}
}

func accepts(accepted ...v1alpha1.AcceptedCredentials) func(*v1alpha1.WeChatEndpoint) {
	return func(e *v1alpha1.WeChatEndpoint) { e.Status.Credentials.Accepted = accepted }
}

// town has an endpoint or a gateway of each kind that the metrics tell apart.
func town(t *testing.T) Objects {
	t.Helper()
	certificate, err := os.ReadFile("testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	front := v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "front"}}
	front.Status = v1alpha1.WeChatGatewayStatus{
		Endpoints: new(int32(2)), Pods: new(int32(3)), Left: []string{"many"},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}},
	}
	broken := v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "broken"}}
	broken.Spec.Paused, broken.Spec.Unreadable = true, []string{"spec.replicas is b"}
	return Objects{
		Gateways: []v1alpha1.WeChatGateway{front, broken},
		Secrets: map[types.NamespacedName]*corev1.Secret{
			{Namespace: "team-a", Name: "pay"}: {Data: map[string][]byte{v1alpha1.KeyCertificates: certificate}},
		},
		Endpoints: []v1alpha1.WeChatEndpoint{
			endpoint("quiet", v1alpha1.PlatformOfficialAccount,
				says(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted), says(v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonReady),
				says(v1alpha1.ConditionReachable, metav1.ConditionUnknown, v1alpha1.ReasonNoAddress), accepts(v1alpha1.AcceptedCredentials{Generation: 1}),
				func(e *v1alpha1.WeChatEndpoint) { e.Spec.MessageMode = v1alpha1.MessageModeEncrypted }),
			endpoint("new", v1alpha1.PlatformShop),
			endpoint("paused", v1alpha1.PlatformShop, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true }),
			endpoint("rotated", v1alpha1.PlatformWeCom, accepts(
				v1alpha1.AcceptedCredentials{Generation: 2, Since: at(-time.Hour)},
				v1alpha1.AcceptedCredentials{Generation: 1, FirstUsed: at(-9 * time.Hour), LastUsed: at(-2 * time.Hour)})),
			endpoint("saved", v1alpha1.PlatformWeCom, accepts(
				v1alpha1.AcceptedCredentials{Generation: 2, Since: at(-time.Hour), FirstUsed: at(0), LastUsed: at(0)},
				v1alpha1.AcceptedCredentials{Generation: 1, LastUsed: at(-time.Hour)})),
			endpoint("audited", v1alpha1.PlatformMiniProgram, func(e *v1alpha1.WeChatEndpoint) {
				e.Spec.Verification = v1alpha1.Verification{Enforcement: v1alpha1.EnforcementInsecureAudit, AuditUntil: at(time.Hour)}
			}),
			endpoint("secure", v1alpha1.PlatformShop, func(e *v1alpha1.WeChatEndpoint) { e.Status.CertificateNotAfter = at(24 * time.Hour) }),
			endpoint("pay", v1alpha1.PlatformPay),
			endpoint("pay-without-secret", v1alpha1.PlatformPay),
			endpoint("on-a-gateway", v1alpha1.PlatformShop, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Gateway = &v1alpha1.GatewayReference{Name: "front"} }),
			endpoint("unreadable", v1alpha1.PlatformShop, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Unreadable = []string{"spec.url is b"} }),
			endpoint("untold", v1alpha1.PlatformShop, func(e *v1alpha1.WeChatEndpoint) { e.Status.Unreadable = []string{"status is b"} }),
			endpoint("empty", ""),
		},
	}
}

// TestMetrics tells of each kind of object what stands in the golden file, and docs/metrics.md says what it means, in both languages.
func TestMetrics(t *testing.T) {
	families := exposition.Gather(t, collector(town(t)))
	all := append(exposition.Gather(t, BuildInfo()), families...)
	exposition.Check(t, "../../..", "operator", "wechatendpoint_", all, []string{"certificate", "kind"}, *update)
	const golden = "testdata/metrics.txt"
	got := exposition.Text(t, families)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", golden, diff)
	}
}

// TestNothingStoredBreaksTheScrape: one series twice, or a value that is no text, and Prometheus would read nothing of any endpoint.
func TestNothingStoredBreaksTheScrape(t *testing.T) {
	long := strings.Repeat("a", 300)
	families := exposition.Gather(t, collector(Objects{Endpoints: []v1alpha1.WeChatEndpoint{
		endpoint("twice", "Shop", says("Ready", "True", "Ready"), says("Ready", "False", "Waiting")),
		endpoint("strange", v1alpha1.Platform(long), says("Accepted", "Perhaps\xff", long), says(v1alpha1.ConditionReady, "True", "a b"), says("Strange", "True", "Ready"),
			func(e *v1alpha1.WeChatEndpoint) {
				e.Spec.Gateway, e.Spec.MessageMode = &v1alpha1.GatewayReference{Name: "\xff"}, "\n"
			}),
	}}))
	var got []string
	for line := range strings.Lines(exposition.Text(t, families)) {
		if !strings.HasPrefix(line, "#") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	want := []string{
		`wechatendpoint_info{gateway="",message_mode="",name="strange",namespace="team-a",platform=""} 1`,
		`wechatendpoint_info{gateway="",message_mode="",name="twice",namespace="team-a",platform="Shop"} 1`,
		`wechatendpoint_status_condition{kind="WeChatEndpoint",name="strange",namespace="team-a",reason="",status="",type="Accepted"} 1`,
		`wechatendpoint_status_condition{kind="WeChatEndpoint",name="strange",namespace="team-a",reason="",status="True",type="Ready"} 1`,
		`wechatendpoint_status_condition{kind="WeChatEndpoint",name="twice",namespace="team-a",reason="Ready",status="True",type="Ready"} 1`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page (-want +got):\n%s", diff)
	}
}

// TestAtMostAHundredAreNamedUnreadable: who may store one may store many.
func TestAtMostAHundredAreNamedUnreadable(t *testing.T) {
	objects := Objects{}
	for i := range maxUnreadable + 5 {
		objects.Endpoints = append(objects.Endpoints, endpoint(fmt.Sprintf("endpoint-%d", i), ""))
		gateway := v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: fmt.Sprintf("gateway-%d", i)}}
		gateway.Status.Unreadable = []string{"status is b"}
		objects.Gateways = append(objects.Gateways, gateway)
	}
	for _, family := range exposition.Gather(t, collector(objects)) {
		if family.GetName() == "wechatendpoint_unreadable" && len(family.GetMetric()) != 2*maxUnreadable {
			t.Errorf("%d are named", len(family.GetMetric()))
		}
	}
}

// BenchmarkScrape is of a thousand endpoints with all their conditions.
func BenchmarkScrape(b *testing.B) {
	objects := Objects{}
	for i := range 1000 {
		e := endpoint(fmt.Sprintf("endpoint-%d", i), v1alpha1.PlatformShop)
		for _, conditionType := range []string{"Accepted", "CredentialsResolved", "BackendResolved", "SidecarAvailable", "RouteProgrammed", "Verified", "Ready", "Reachable", "BackendAvailable", "SidecarCurrent"} {
			says(conditionType, metav1.ConditionTrue, conditionType)(&e)
		}
		objects.Endpoints = append(objects.Endpoints, e)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector(objects))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
