// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// healthy is an endpoint that serves, and what stands around it.
func healthy() *Cluster {
	return &Cluster{
		Endpoint: &v1alpha1.WeChatEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo", Generation: 1},
			Spec: v1alpha1.WeChatEndpointSpec{
				Platform: v1alpha1.PlatformOfficialAccount, Credentials: v1alpha1.CredentialsReference{SecretName: "demo-token"},
				URL: v1alpha1.CallbackURL{Host: host, Path: "/weixin", Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{}},
			},
			Status: v1alpha1.WeChatEndpointStatus{ObservedGeneration: 1, Conditions: []metav1.Condition{
				{Type: v1alpha1.ConditionAccepted, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAccepted},
				{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady},
			}},
		},
		Secret: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.LabelCredentials: "true"}}},
		Pods:   []corev1.Pod{readyPod("demo-1")},
	}
}

func readyPod(name string) corev1.Pod {
	return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
}

// says is a condition that the operator has set.
func says(name string, status metav1.ConditionStatus, reason string) func(*Cluster) {
	return func(c *Cluster) {
		c.Endpoint.Status.Conditions = append(c.Endpoint.Status.Conditions, metav1.Condition{Type: name, Status: status, Reason: reason, Message: "the operator's word", ObservedGeneration: 1})
	}
}

func annotated(key string) func(*Cluster) {
	return func(c *Cluster) {
		c.Endpoint.Spec.URL.Ingress.Annotations = map[string]v1alpha1.AnnotationValue{key: "true"}
	}
}

// ingress has a rule for a path of the host.
func ingress(name, path string) networkingv1.Ingress {
	return networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: name}, Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: host,
		IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{Path: path}}}}}}}}
}

// secretOf is a Secret with a certificate.
func secretOf(t *testing.T, own *authority, others ...*authority) *corev1.Secret {
	t.Helper()
	var certificates bytes.Buffer
	for _, one := range append([]*authority{own}, others...) {
		if err := pem.Encode(&certificates, &pem.Block{Type: "CERTIFICATE", Bytes: one.certificate.Raw}); err != nil {
			t.Fatal(err)
		}
	}
	key, err := x509.MarshalECPrivateKey(own.key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{Data: map[string][]byte{"tls.crt": certificates.Bytes(), "tls.key": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})}}
}

func TestEachCauseIsToldApartInTheCluster(t *testing.T) {
	later := time.Now().Add(200 * 24 * time.Hour)
	root := (*authority)(nil).sign(t, "A Public Root", true, later)
	middle := root.sign(t, "An Intermediate", true, later)
	certificate := func(secret *corev1.Secret) func(*Cluster) {
		return func(c *Cluster) { c.Endpoint.Spec.URL.Ingress.TLSSecretName, c.Certificate = "wx-tls", secret }
	}
	forbidden := errors.New("you may not")
	waiting := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-2"}}

	for name, test := range map[string]struct {
		change func(*Cluster)
		want   []string
	}{
		"all is well": {func(*Cluster) {}, nil},
		"no operator has looked": {func(c *Cluster) {
			c.Endpoint.Status = v1alpha1.WeChatEndpointStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNotObserved}}}
		}, []string{"unknown NotObserved"}},
		"the operator has not seen the newest spec": {func(c *Cluster) { c.Endpoint.Generation = 2 }, []string{"risk outdated"}},
		"another endpoint has the URL":              {says(v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict), []string{"refuses URLConflict"}},
		"Ready repeats a reason, which is told once": {func(c *Cluster) {
			says(v1alpha1.ConditionRouteProgrammed, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)(c)
			says(v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonIngressClassNotFound)(c)
		}, []string{"refuses IngressClassNotFound"}},
		"pods are starting":                      {says(v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, v1alpha1.ReasonProgressing), []string{"risk Progressing"}},
		"the app has no pods":                    {says(v1alpha1.ConditionBackendAvailable, metav1.ConditionFalse, v1alpha1.ReasonNoBackendPods), []string{"risk NoBackendPods"}},
		"the published address does not answer":  {says(v1alpha1.ConditionReachable, metav1.ConditionFalse, v1alpha1.ReasonNotReachable), []string{"risk NotReachable"}},
		"messages for another account":           {says(v1alpha1.ConditionWrongReceiver, metav1.ConditionTrue, v1alpha1.ReasonWrongReceiver), []string{"risk WrongReceiver"}},
		"no other route leads to the app":        {says(v1alpha1.ConditionBackendExposed, metav1.ConditionFalse, v1alpha1.ReasonBackendExposed), nil},
		"new values wait for the console":        {says(v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonRotationPending), []string{"risk RotationPending"}},
		"earlier values are lost":                {says(v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsLost), []string{"risk CredentialsLost"}},
		"the endpoint is paused":                 {says(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonPaused), []string{"risk Paused"}},
		"forged messages are let through":        {func(c *Cluster) { c.Endpoint.Spec.Verification.Enforcement = v1alpha1.EnforcementInsecureAudit }, []string{"risk audit"}},
		"there is no Secret":                     {func(c *Cluster) { c.Secret = nil }, []string{"refuses secret"}},
		"the Secret has no label":                {func(c *Cluster) { c.Secret.Labels = nil }, []string{"refuses secret_label"}},
		"the Secret's token ends with a newline": {func(c *Cluster) { c.Values = errors.New("the token ends with white space") }, []string{"refuses secret_value"}},
		"the Secret may not be read":             {func(c *Cluster) { c.Secret, c.SecretErr = nil, forbidden }, []string{"unknown unseen"}},
		"one pod of two does not serve":          {func(c *Cluster) { c.Pods = append(c.Pods, waiting) }, []string{"risk pod"}},
		"no pod serves":                          {func(c *Cluster) { c.Pods = []corev1.Pod{waiting} }, []string{"refuses pod"}},
		"the pods may not be listed":             {func(c *Cluster) { c.Pods, c.PodsErr = nil, forbidden }, []string{"unknown unseen"}},
		"an IP list at the Ingress":              {annotated("nginx.ingress.kubernetes.io/whitelist-source-range"), []string{"risk ip_list"}},
		"a login at the Ingress":                 {annotated("nginx.ingress.kubernetes.io/auth-url"), []string{"refuses ingress_auth"}},
		"a redirect at the Ingress":              {annotated("nginx.ingress.kubernetes.io/permanent-redirect"), []string{"refuses ingress_redirect"}},
		"a redirect to https at the Ingress":     {annotated("haproxy.org/ssl-redirect"), []string{"refuses ingress_redirect"}},
		"an annotation that does no harm":        {annotated("example.com/team"), nil},
		"another Ingress has the path":           {func(c *Cluster) { c.Ingresses = []networkingv1.Ingress{ingress("site", "/weixin/")} }, []string{"refuses ingress_other"}},
		"another Ingress has all of the host":    {func(c *Cluster) { c.Ingresses = []networkingv1.Ingress{ingress("site", "/")} }, nil},
		"the endpoint's own Ingress, with an annotation that somebody added": {func(c *Cluster) {
			own := ingress("demo", "/weixin")
			own.Namespace, own.OwnerReferences = "shop", []metav1.OwnerReference{{Kind: "WeChatEndpoint", Name: "demo"}}
			own.Annotations = map[string]string{"nginx.ingress.kubernetes.io/auth-type": "basic"}
			c.Ingresses = []networkingv1.Ingress{own}
		}, []string{"refuses ingress_auth"}},
		"the Ingresses may not be listed":           {func(c *Cluster) { c.IngressesErr = forbidden }, []string{"unknown unseen"}},
		"an HTTPRoute has no Ingress":               {func(c *Cluster) { c.Endpoint.Spec.URL.Exposure, c.IngressesErr = v1alpha1.ExposureHTTPRoute, forbidden }, nil},
		"a certificate that is as it should be":     {certificate(secretOf(t, middle.sign(t, host, false, later), middle)), nil},
		"there is no Secret with the certificate":   {certificate(nil), []string{"refuses tls_secret"}},
		"the certificate may not be read":           {func(c *Cluster) { certificate(nil)(c); c.CertificateErr = forbidden }, []string{"unknown unseen"}},
		"the Secret holds no certificate":           {certificate(&corev1.Secret{}), []string{"refuses tls_secret"}},
		"the certificate in it is for another name": {certificate(secretOf(t, middle.sign(t, "other.example.com", false, later), middle)), []string{"refuses tls_secret_name"}},
		"the certificate in it is expired":          {certificate(secretOf(t, middle.sign(t, host, false, time.Now().Add(-time.Hour)), middle)), []string{"refuses tls_secret_ended"}},
		"the certificate in it ends soon":           {certificate(secretOf(t, middle.sign(t, host, false, time.Now().Add(48*time.Hour)), middle)), []string{"risk tls_expires_soon"}},
		"the certificate in it has no intermediate": {certificate(secretOf(t, middle.sign(t, host, false, later))), []string{"refuses tls_chain"}},
		"the certificate in it signs itself":        {certificate(secretOf(t, (*authority)(nil).sign(t, host, false, later))), []string{"refuses tls_self_signed"}},
		"the key in it belongs to another certificate": {certificate(func() *corev1.Secret {
			one, other := secretOf(t, middle.sign(t, host, false, later), middle), secretOf(t, middle.sign(t, host, false, later), middle)
			one.Data["tls.key"] = other.Data["tls.key"]
			return one
		}()), []string{"refuses tls_secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := healthy()
			test.change(cluster)
			var got []string
			for _, one := range Decide(Facts{Now: time.Now(), Host: host, Platform: cluster.Endpoint.Spec.Platform, Checked: true, Cluster: cluster}) {
				if one.Place == FromCluster {
					got = append(got, string(one.Level)+" "+string(one.Cause))
				}
				if one.Text.String() == "" || one.Remedy.String() == "" {
					t.Errorf("%s: text %q, remedy %q", one.Cause, one.Text, one.Remedy)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWhatOnlyWeChatSees: whom WeChat was seen with holds the token.
func TestWhatOnlyWeChatSees(t *testing.T) {
	hour := metav1.Now()
	causes := func(change func(*Facts)) (all []Cause) {
		f := Facts{Platform: v1alpha1.PlatformWeCom, Cluster: healthy()}
		change(&f)
		for _, one := range decideWeChat(f) {
			all = append(all, one.Cause)
		}
		return all
	}
	for name, test := range map[string]struct {
		change func(*Facts)
		want   []Cause
	}{
		"WeChat was not seen":   {func(*Facts) {}, []Cause{CauseConsoleToken, CauseConsoleURL, CauseInternet}},
		"an account with modes": {func(f *Facts) { f.Platform, f.Cluster = v1alpha1.PlatformOfficialAccount, nil }, []Cause{CauseConsoleToken, CauseConsoleMode, CauseConsoleURL, CauseInternet}},
		"WeChat uses the newest": {func(f *Facts) {
			f.Cluster.Endpoint.Status.Credentials = v1alpha1.CredentialsStatus{Generation: 2, Accepted: []v1alpha1.AcceptedCredentials{{Generation: 2, LastUsed: &hour}}}
		}, []Cause{CauseConsoleURL, CauseInternet}},
		"WeChat uses an older one": {func(f *Facts) {
			f.Cluster.Endpoint.Status.Credentials = v1alpha1.CredentialsStatus{Generation: 2, Accepted: []v1alpha1.AcceptedCredentials{{Generation: 2}, {Generation: 1, LastUsed: &hour}}}
		}, []Cause{CauseConsoleToken, CauseConsoleURL, CauseInternet}},
	} {
		if diff := cmp.Diff(test.want, causes(test.change)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
