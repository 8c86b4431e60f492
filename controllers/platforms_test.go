//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

const aesKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

func TestEncryptedModeWaitsForItsKey(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.MessageMode = v1alpha1.MessageModeEncrypted
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionFalse, v1alpha1.ReasonSecretKeyMissing)
	wantMessage(t, condition, "has no key encodingAESKey")

	change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["encodingAESKey"] = []byte(aesKey) })
	awaitCondition(t, endpoint, v1alpha1.ConditionCredentialsResolved, metav1.ConditionTrue, v1alpha1.ReasonCredentialsResolved)
	_, credentials := awaitFiles(t, namespace, "a-fine-token")
	if credentials.Pairs[0].EncodingAESKey != aesKey || credentials.Pairs[0].Generation != 1 {
		t.Errorf("the first pair is of generation %d, or without the key", credentials.Pairs[0].Generation)
	}
	change(t, tokenSecret(namespace, ""), func(s *corev1.Secret) { s.Data["encodingAESKey"] = bytes.ToUpper([]byte(aesKey)) })
	eventually(t, func() string {
		_, credentials := awaitFiles(t, namespace, "a-fine-token")
		if len(credentials.Pairs) != 2 || credentials.Pairs[0].Generation != 2 || credentials.Pairs[1].EncodingAESKey != aesKey {
			return "the changed key is not counted, or the one before it is lost"
		}
		return ""
	})
}

func TestGatewayKeyIsMadeOnceAndKept(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	_, before := awaitFiles(t, namespace, "a-fine-token")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop-gateway-key"}}
	kept := func() string {
		awaitChild(t, secret)
		if !bytes.Equal(secret.Data["key"], before.GatewayKey) || len(before.GatewayKey) != config.GatewayKeySize || !metav1.IsControlledBy(secret, endpoint) {
			return "the Secret does not hold the key that the sidecar has"
		}
		return ""
	}
	eventually(t, kept)
	if err := cluster.client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	eventually(t, kept)
	change(t, secret, func(s *corev1.Secret) { s.Data["key"] = []byte("of somebody else") })
	eventually(t, kept)
	sidecars := children(namespace)[1]
	if err := cluster.client.Delete(t.Context(), sidecars); err != nil {
		t.Fatal(err)
	}
	_, after := awaitFiles(t, namespace, "a-fine-token")
	if diff := cmp.Diff(before.GatewayKey, after.GatewayKey); diff != "" {
		t.Errorf("the key changed with the loss of the sidecar's Secret")
	}
}

func TestServiceOfARuleIsResolvedAndWatched(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Rules = []v1alpha1.Rule{
		{Match: v1alpha1.RuleMatch{Event: "LOCATION"}, Action: v1alpha1.RuleActionDiscard},
		{Match: v1alpha1.RuleMatch{MsgType: "text"}, Action: v1alpha1.RuleActionForward, Backend: &v1alpha1.Backend{
			Service: v1alpha1.ServiceReference{Name: "chat", Port: intstr.FromString("web")},
		}},
	}
	create(t, endpoint)
	condition := awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionFalse, v1alpha1.ReasonServiceNotFound)
	wantMessage(t, condition, "rules[1].backend.service.name")
	chat := appService(namespace)
	chat.Name = "chat"
	create(t, chat)
	awaitCondition(t, endpoint, v1alpha1.ConditionBackendResolved, metav1.ConditionTrue, v1alpha1.ReasonBackendResolved)
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	if len(served.Rules) != 2 || served.Rules[1].Backend.URL != "http://chat."+namespace+".svc:8080" {
		t.Errorf("served are the rules %+v", served.Rules)
	}
}

func TestOverlappingRoutesAreAConflict(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	file := []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	for name, test := range map[string]struct {
		first, second string // paths
		files         []v1alpha1.DomainFile
		message       string // empty if there is no conflict
	}{
		"the same domain file":       {"/a", "/b", file, "/MP_verify_abc.txt is held by"},
		"a path below a placeholder": {"/a/$APPID$", "/a/b/c", nil, "/a/b/c is held by"},
		"a placeholder above a path": {"/a/b", "/a/$APPID$/c", nil, "a path below"},
		"all paths, above one":       {"/weixin", "/$APPID$/c", nil, "a path below"},
		"all paths, and the root":    {"/", "/$APPID$", nil, "a path below"},
		"the root beside a path":     {"/", "/weixin", nil, ""},
		"paths side by side":         {"/a/b/$APPID$", "/a/c/$APPID$", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := newEndpoint(newNamespace(t))
			first.Spec.URL.Exposure, first.Spec.URL.Path, first.Spec.DomainFiles = v1alpha1.ExposureIngress, test.first, test.files
			create(t, first)
			awaitCondition(t, first, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
			time.Sleep(time.Until(first.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
			second := newEndpoint(first.Namespace)
			second.Name, second.Spec.URL = "second", first.Spec.URL
			second.Spec.URL.Path, second.Spec.DomainFiles = test.second, test.files
			create(t, second)
			if test.message == "" {
				awaitCondition(t, second, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
				return
			}
			wantMessage(t, awaitCondition(t, second, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict), test.message)
			awaitCondition(t, first, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
		})
	}
}

func TestPublishedDomainFileIsNotTakenByAnOlderEndpoint(t *testing.T) {
	onTheNewestAlone(t)
	t.Parallel()
	class := newNamespace(t)
	newClass(t, class)
	url := v1alpha1.CallbackURL{
		Host: class + ".example.com", Path: "/a", Exposure: v1alpha1.ExposureIngress, Ingress: &v1alpha1.IngressExposure{ClassName: class},
	}
	older := published(t, url)
	awaitCondition(t, older, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)
	time.Sleep(time.Until(older.CreationTimestamp.Add(1100 * time.Millisecond))) // ages are told in seconds
	file := []v1alpha1.DomainFile{{Name: "MP_verify_abc.txt", Content: "abc"}}
	holder := newEndpoint(older.Namespace)
	holder.Name, holder.Spec.URL, holder.Spec.DomainFiles = "second", url, file
	holder.Spec.URL.Path = "/b"
	create(t, holder)
	awaitCondition(t, holder, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed)

	change(t, older, func(e *v1alpha1.WeChatEndpoint) { e.Spec.DomainFiles = file })
	awaitCondition(t, older, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonURLConflict)
	time.Sleep(settling)
	awaitCondition(t, holder, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted)
}

func TestAuditEndsByItself(t *testing.T) {
	onTheNewestAlone(t)
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	endpoint.Spec.Backend.Payload = v1alpha1.PayloadOriginal
	endpoint.Spec.Verification.Enforcement = v1alpha1.EnforcementInsecureAudit
	endpoint.Spec.Verification.AuditUntil = &metav1.Time{Time: time.Now().Add(15 * 24 * time.Hour)}
	create(t, endpoint)
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonAuditTooLong)
	until := time.Now().Add(4 * time.Second)
	change(t, endpoint, func(e *v1alpha1.WeChatEndpoint) { e.Spec.Verification.AuditUntil = &metav1.Time{Time: until} })
	served, _ := awaitFiles(t, namespace, "a-fine-token")
	if served.AuditUntil == nil || served.AuditUntil.Unix() != until.Unix() {
		t.Errorf("the sidecar is told %v, want %v", served.AuditUntil, until)
	}
	awaitCondition(t, endpoint, v1alpha1.ConditionAccepted, metav1.ConditionFalse, v1alpha1.ReasonAuditEnded)
}
