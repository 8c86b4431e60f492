// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metrics tells of endpoints and gateways what an alert or a picture needs, from the objects alone. It is pure: nothing is remembered
// from one scrape to the next, so that no series outlives its object.
package metrics

import (
	"iter"
	"regexp"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/credentials"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
)

// Objects are what the metrics tell of. Nothing in them is changed.
type Objects struct {
	Endpoints []v1alpha1.WeChatEndpoint
	Gateways  []v1alpha1.WeChatGateway
	// Secrets are the users', by name. Of their values only the ends of WeChat Pay's certificates are told, which are public.
	Secrets map[types.NamespacedName]*corev1.Secret
}

// maxUnreadable is how many objects of a kind are named that cannot be read: whoever may store one may store many.
const maxUnreadable = 100

// Labels that name an object.
var (
	named     = []string{"namespace", "name"}
	kindNamed = []string{"kind", "namespace", "name"}
)

var (
	info = describe("info",
		"What a WeChatEndpoint is: always 1.", named, "platform", "message_mode", "gateway")
	condition = describe("status_condition",
		"What each condition of a WeChatEndpoint or a WeChatGateway says now: always 1. What it does not say has no series.", kindNamed, "type", "status", "reason")
	paused = describe("paused",
		"WeChatEndpoints and WeChatGateways with spec.paused: always 1. The others have no series.", kindNamed)
	unreadable = describe("unreadable",
		"WeChatEndpoints and WeChatGateways whose stored spec or status the operator cannot read as a whole: 1 for each, and at most "+strconv.Itoa(maxUnreadable)+" of each kind.", kindNamed)
	pendingSince = describe("rotation_pending_since_timestamp_seconds",
		"Since when newer credentials are accepted beside earlier ones, and WeChat was not seen using them: the console's form waits to be saved.", named)
	lastUsed = describe("credentials_last_used_timestamp_seconds",
		"When WeChat was last seen using any of the accepted credentials, to the hour. It outlives the pods.", named)
	auditEnd = describe("audit_end_timestamp_seconds",
		"When verification.enforcement InsecureAudit ends, or ended.", named)
	certificateEnd = describe("certificate_not_after_timestamp_seconds",
		"When a certificate ends: url is the one that the published address showed last; pay is the one of WeChat Pay in the Secret that ends last, where no public key is there.", named, "certificate")
	gatewayEndpoints = describe("gateway_endpoints",
		"How many WeChatEndpoints the pods of a WeChatGateway are given.", named)
	gatewayLeft = describe("gateway_left_endpoints",
		"How many WeChatEndpoints the pods of a WeChatGateway are not given, because there is no room for them; 256 are that many or more.", named)
	gatewayPods = describe("gateway_pods",
		"How many pods of a WeChatGateway are ready.", named)
)

var all = []*prometheus.Desc{
	info, condition, paused, unreadable, pendingSince, lastUsed, auditEnd, certificateEnd, gatewayEndpoints, gatewayLeft, gatewayPods,
}

func describe(name, help string, object []string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("wechatendpoint_"+name, help, append(object[:len(object):len(object)], labels...), nil)
}

// Describe sends every description.
func Describe(to chan<- *prometheus.Desc) {
	for _, description := range all {
		to <- description
	}
}

// Of returns the metrics of the objects. No two of them are of one series, whatever is stored.
func Of(objects Objects) iter.Seq[prometheus.Metric] {
	return func(yield func(prometheus.Metric) bool) {
		w := &writer{yield: yield}
		for i := range objects.Endpoints {
			w.endpoint(&objects.Endpoints[i], objects.Secrets)
		}
		w.unreadable = 0
		for i := range objects.Gateways {
			w.gateway(&objects.Gateways[i])
		}
	}
}

// writer sends metrics until nobody wants more.
type writer struct {
	yield      func(prometheus.Metric) bool
	ended      bool
	unreadable int // objects of the kind that were named
}

func (w *writer) send(description *prometheus.Desc, value float64, labels ...string) {
	if !w.ended {
		w.ended = !w.yield(prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...))
	}
}

func (w *writer) sendTime(description *prometheus.Desc, at *metav1.Time, labels ...string) {
	if !at.IsZero() {
		w.send(description, float64(at.Unix()), labels...)
	}
}

func (w *writer) endpoint(e *v1alpha1.WeChatEndpoint, secrets map[types.NamespacedName]*corev1.Secret) {
	w.common(render.KindEndpoint, e, e.Spec.Paused, !e.Spec.Readable() || e.Status.Unreadable != nil, e.Status.Conditions)
	gateway := ""
	if e.Spec.Gateway != nil {
		gateway = e.Spec.Gateway.Name
	}
	w.send(info, 1, e.Namespace, e.Name, bounded(string(e.Spec.Platform)), bounded(string(e.Spec.MessageMode)), bounded(gateway))
	w.sendTime(pendingSince, credentials.PendingSince(e.Status.Credentials), e.Namespace, e.Name)
	w.sendTime(lastUsed, credentials.LastUsed(e.Status.Credentials), e.Namespace, e.Name)
	if e.Spec.Verification.Enforcement == v1alpha1.EnforcementInsecureAudit {
		w.sendTime(auditEnd, e.Spec.Verification.AuditUntil, e.Namespace, e.Name)
	}
	w.sendTime(certificateEnd, e.Status.CertificateNotAfter, e.Namespace, e.Name, "url")
	if e.Spec.Platform == v1alpha1.PlatformPay {
		secret := secrets[types.NamespacedName{Namespace: e.Namespace, Name: e.Spec.Credentials.SecretName}]
		w.sendTime(certificateEnd, credentials.CertificatesEnd(secret), e.Namespace, e.Name, "pay")
	}
}

func (w *writer) gateway(g *v1alpha1.WeChatGateway) {
	w.common(render.KindGateway, g, g.Spec.Paused, g.Spec.Unreadable != nil || g.Status.Unreadable != nil, g.Status.Conditions)
	if g.Status.Endpoints != nil {
		w.send(gatewayEndpoints, float64(*g.Status.Endpoints), g.Namespace, g.Name)
		w.send(gatewayLeft, float64(len(g.Status.Left)), g.Namespace, g.Name)
	}
	if g.Status.Pods != nil {
		w.send(gatewayPods, float64(*g.Status.Pods), g.Namespace, g.Name)
	}
}

// common is what is told of either kind.
func (w *writer) common(kind string, object metav1.Object, isPaused, isUnreadable bool, conditions []metav1.Condition) {
	namespace, name := object.GetNamespace(), object.GetName()
	if isPaused {
		w.send(paused, 1, kind, namespace, name)
	}
	if isUnreadable && w.unreadable < maxUnreadable {
		w.unreadable++
		w.send(unreadable, 1, kind, namespace, name)
	}
	told := make(map[string]bool, len(conditions))
	for _, c := range conditions {
		if status.Known(c.Type) && !told[c.Type] {
			told[c.Type] = true
			w.send(condition, 1, kind, namespace, name, c.Type, bounded(string(c.Status)), bounded(c.Reason))
		}
	}
}

// word is every value that the operator or the API gives to a label. Others may stand in an object that an older CustomResourceDefinition let
// through, or in a status that somebody else wrote.
var word = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,62}$`)

// bounded returns a value for a label, or none.
func bounded(value string) string {
	if !word.MatchString(value) {
		return ""
	}
	return value
}
