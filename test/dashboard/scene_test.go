//go:build browser

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/tap"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat"
)

const token = "q7RkZt0mWc5xVb2nLs9dYh4gJf8aPe3u"

// hostile is what an attacker would write who wants the page to take text for markup.
const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script><a href="javascript:document.title='owned'">x</a>`

func at(day, hour int) *metav1.Time {
	t := metav1.NewTime(time.Date(2026, 11, day, hour, 0, 0, 0, time.UTC))
	return &t
}

// scene is what the cluster holds.
func scene() map[string]map[string]any {
	all := map[string]map[string]any{"wechatendpoints": {}, "wechatgateways": {}, "pods": {}, "secrets": {}}
	put := func(resource string, object metav1.Object) {
		all[resource][object.GetNamespace()+"/"+object.GetName()] = object
	}

	official := endpoint("shop", "official", v1alpha1.PlatformOfficialAccount)
	official.Status.Credentials = v1alpha1.CredentialsStatus{Generation: 3, Accepted: []v1alpha1.AcceptedCredentials{
		{Generation: 3, Since: at(27, 8), FirstUsed: at(27, 9), LastUsed: at(28, 8)}, {Generation: 2, Since: at(3, 10), Until: at(28, 9), FirstUsed: at(3, 11), LastUsed: at(27, 8)},
	}}
	put("wechatendpoints", official)
	put("secrets", secretOf(official))
	put("pods", podOf(official, "official-sidecar-6d9c7b5f4-hx2lp", true, ""))
	put("pods", podOf(official, "official-sidecar-6d9c7b5f4-t8wqz", true, ""))

	put("secrets", &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "official-gateway-key"},
		Data: map[string][]byte{v1alpha1.GatewayKeyKey: make([]byte, config.GatewayKeySize)}})

	mini := endpoint("shop", "mini-program", v1alpha1.PlatformMiniProgram)
	fails(mini, v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretMalformed,
		"the key token of Secret mini-program-wechat ends with a newline, which a token never has: write it again without one")
	mini.Status.Credentials = v1alpha1.CredentialsStatus{}
	put("wechatendpoints", mini)

	work := endpoint("shop", "work", v1alpha1.PlatformWeCom)
	work.Spec.Gateway = &v1alpha1.GatewayReference{Name: "front"}
	work.Status.Fleet.LeadsTo = "front-wechat-gateway"
	put("wechatendpoints", work)
	put("wechatendpoints", endpoint("payments", "merchant", v1alpha1.PlatformPay))

	bad := endpoint("shop", "quoted", v1alpha1.PlatformOfficialAccount)
	fails(bad, v1alpha1.ConditionBackendResolved, v1alpha1.ReasonServiceNotFound, "there is no Service "+hostile)
	bad.Status.Backend = hostile
	put("wechatendpoints", bad)
	put("secrets", secretOf(bad))
	put("pods", podOf(bad, "quoted-sidecar-1", false, hostile))

	front := &v1alpha1.WeChatGateway{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatGateway"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front", Generation: 1}}
	serves := int32(1)
	front.Status = v1alpha1.WeChatGatewayStatus{ObservedGeneration: 1, Endpoints: &serves, Conditions: []metav1.Condition{
		holds(v1alpha1.ConditionAccepted), holds(v1alpha1.ConditionSidecarAvailable), holds(v1alpha1.ConditionVerified), holds(v1alpha1.ConditionReady), holds(v1alpha1.ConditionSidecarCurrent)}}
	put("wechatgateways", front)
	pod := podOf(work, "front-wechat-gateway-0", true, "")
	pod.Labels[v1alpha1.LabelGateway] = "front"
	delete(pod.Labels, v1alpha1.LabelEndpoint)
	put("pods", pod)
	return all
}

func endpoint(namespace, name string, platform v1alpha1.Platform) *v1alpha1.WeChatEndpoint {
	e := &v1alpha1.WeChatEndpoint{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "WeChatEndpoint"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Generation: 4},
		Spec: v1alpha1.WeChatEndpointSpec{
			Platform: platform, AppID: "wx5823bf96d3bd56c7", Credentials: v1alpha1.CredentialsReference{SecretName: name + "-wechat"},
			URL: v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/" + name}, Backend: v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "shop-app", Port: intstr.FromInt32(8080)}},
		},
	}
	if platform == v1alpha1.PlatformOfficialAccount || platform == v1alpha1.PlatformMiniProgram {
		e.Spec.MessageMode = v1alpha1.MessageModePlaintext
	}
	e.Status = v1alpha1.WeChatEndpointStatus{
		ObservedGeneration: 4, URL: "http://wx.example.com/" + name, Backend: "shop-app:8080", CertificateNotAfter: at(30, 0),
		Credentials: v1alpha1.CredentialsStatus{Generation: 1, Accepted: []v1alpha1.AcceptedCredentials{{Generation: 1, FirstUsed: at(2, 8), LastUsed: at(28, 7)}}},
	}
	for _, name := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionBackendResolved, v1alpha1.ConditionSidecarAvailable,
		v1alpha1.ConditionRouteProgrammed, v1alpha1.ConditionVerified, v1alpha1.ConditionReady, v1alpha1.ConditionReachable, v1alpha1.ConditionBackendAvailable, v1alpha1.ConditionSidecarCurrent} {
		e.Status.Conditions = append(e.Status.Conditions, holds(name))
	}
	return e
}

func holds(name string) metav1.Condition {
	return metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: name, ObservedGeneration: 4, LastTransitionTime: *at(2, 8)}
}

// fails makes a condition fail, and Ready with it.
func fails(e *v1alpha1.WeChatEndpoint, name, reason, message string) {
	for i, condition := range e.Status.Conditions {
		switch condition.Type {
		case name, v1alpha1.ConditionReady:
			condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, reason, message
		case v1alpha1.ConditionVerified, v1alpha1.ConditionReachable:
			condition.Status, condition.Reason, condition.Message = metav1.ConditionUnknown, v1alpha1.ReasonWaiting, "waits for "+name
		}
		e.Status.Conditions[i] = condition
	}
}

func secretOf(e *v1alpha1.WeChatEndpoint) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Spec.Credentials.SecretName,
		Labels: map[string]string{v1alpha1.LabelCredentials: "true"}}, Data: map[string][]byte{"token": []byte(token)}}
}

func podOf(e *v1alpha1.WeChatEndpoint, name string, ready bool, problem string) *corev1.Pod {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/managed-by": "wechatendpoint", "app.kubernetes.io/component": "sidecar", v1alpha1.LabelEndpoint: e.Name}},
		Spec:       corev1.PodSpec{NodeName: "node-2", Containers: []corev1.Container{{Name: "sidecar", Image: "ghcr.io/wechatendpoint/sidecar:0.1.0"}}},
	}
	status := map[bool]corev1.ConditionStatus{true: corev1.ConditionTrue, false: corev1.ConditionFalse}[ready]
	pod.Status.Phase, pod.Status.PodIP = corev1.PodRunning, "10.0.0.7"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
	if problem != "" {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar", RestartCount: 3, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: problem}}}}
	}
	return pod
}

// sidecar shows the metrics of a pod that counts more with each look, in the notation that docs/metrics.md describes.
func sidecar(scrapes *atomic.Int64) func(pod string) http.Handler {
	return func(pod string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == tap.Path {
				tell(w, r)
				return
			}
			n := scrapes.Add(1)
			of := "shop/official"
			if strings.HasPrefix(pod, "front") {
				of = "shop/work"
			}
			answered, late := 1840+6*n+n*n%7, 3+n/9
			fmt.Fprintln(w, "# TYPE wechat_sidecar_callbacks_total counter\n# TYPE wechat_sidecar_refused_total counter\n# TYPE wechat_sidecar_answer_duration_seconds histogram\n# TYPE wechat_sidecar_last_verified_timestamp_seconds gauge")
			for outcome, count := range map[string]int64{"answered": answered, "acknowledged": late, "unavailable": 2, "discarded": 0} {
				fmt.Fprintf(w, "wechat_sidecar_callbacks_total{outcome=%q,wechat_endpoint=%q} %d\n", outcome, of, count)
			}
			for reason, count := range map[string]int64{"bad_signature": 41 + n/2, "stale": 7, "replayed": 1} {
				fmt.Fprintf(w, "wechat_sidecar_refused_total{reason=%q,wechat_endpoint=%q} %d\n", reason, of, count)
			}
			fmt.Fprintf(w, "wechat_sidecar_refused_total{reason=\"malformed\",wechat_endpoint=\"shop/another\"} 99\n")
			all := answered + late
			for i, bound := range []string{".005", ".01", ".025", ".05", ".1", ".25", ".5", "1", "2.5", "3", "4.5", "5", "7.5", "10", "14", "+Inf"} {
				share := []float64{.01, .04, .18, .46, .71, .88, .95, .975, .992, .9945, .9985, .9995, 1, 1, 1, 1}[i]
				fmt.Fprintf(w, "wechat_sidecar_answer_duration_seconds_bucket{wechat_endpoint=%q,le=%q} %d\n", of, bound, int64(share*float64(all)))
			}
			fmt.Fprintf(w, "wechat_sidecar_answer_duration_seconds_sum{wechat_endpoint=%q} 99\nwechat_sidecar_answer_duration_seconds_count{wechat_endpoint=%q} %d\n", of, of, all)
			fmt.Fprintf(w, "wechat_sidecar_last_verified_timestamp_seconds{wechat_endpoint=%q} %d\n", of, at(28, 8).Add(17*time.Minute).Unix())
		})
	}
}

// tell is a tap that tells of two callbacks. It asks for no proof.
func tell(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	for _, line := range []tap.Line{
		{Hello: &tap.Hello{Tap: "1", Until: now.Add(time.Hour)}},
		{Verdict: &tap.Verdict{At: now.Add(-2 * time.Second), Reason: string(wechat.ReasonBadSignature), Status: 403}},
		{Verdict: &tap.Verdict{At: now, Outcome: "answered", Type: "text", Status: 200, Millis: 21}},
	} {
		_ = json.NewEncoder(w).Encode(line)
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// app answers test messages as the sidecar and an app behind it do: it says back what a user says.
func app(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !wechat.Verify(q.Get("signature"), token, q.Get("timestamp"), q.Get("nonce")) {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	var message struct{ ToUserName, FromUserName, Content string }
	body, _ := io.ReadAll(r.Body)
	_ = xml.Unmarshal(body, &message)
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Wechat-Outcome", "answered; milliseconds=23")
	time.Sleep(31 * time.Millisecond)
	fmt.Fprintf(w, "<xml><ToUserName>%s</ToUserName><FromUserName>%s</FromUserName><CreateTime>1</CreateTime><MsgType>text</MsgType><Content><![CDATA[you said %s]]></Content></xml>",
		message.FromUserName, message.ToUserName, message.Content)
}
