// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/test/exposition"
)

// TestMetricsAreOfWhatIsThere when they are read, and of nothing else.
func TestMetricsAreOfWhatIsThere(t *testing.T) {
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := os.ReadFile("internal/metrics/testdata/certificate.pem")
	if err != nil {
		t.Fatal(err)
	}
	secret := func(namespace, label string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "wechat", Labels: map[string]string{v1alpha1.LabelCredentials: label}},
			Data:       map[string][]byte{v1alpha1.KeyCertificates: certificate},
		}
	}
	endpoint := func(namespace string) *v1alpha1.WeChatEndpoint {
		e := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "shop"}}
		e.Spec.Platform, e.Spec.Credentials.SecretName = v1alpha1.PlatformPay, "wechat"
		return e
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		endpoint("with"), secret("with", v1alpha1.CredentialsUser), endpoint("without"), secret("without", v1alpha1.CredentialsGenerated),
		&v1alpha1.WeChatGateway{ObjectMeta: metav1.ObjectMeta{Namespace: "with", Name: "front"}, Spec: v1alpha1.WeChatGatewaySpec{Paused: true}},
	).Build()
	page := func(reader client.Reader) string { return exposition.Text(t, exposition.Gather(t, Metrics{reader})) }

	text := page(cluster)
	for _, series := range []string{
		`wechatendpoint_info{gateway="",message_mode="",name="shop",namespace="with",platform="Pay"} 1`,
		`wechatendpoint_info{gateway="",message_mode="",name="shop",namespace="without",platform="Pay"} 1`,
		`wechatendpoint_certificate_not_after_timestamp_seconds{certificate="pay",name="shop",namespace="with"} `,
		`wechatendpoint_paused{kind="WeChatGateway",name="front",namespace="with"} 1`,
	} {
		if !strings.Contains(text, series) {
			t.Errorf("there is no %s in\n%s", series, text)
		}
	}
	if strings.Count(text, "certificate=") != 1 {
		t.Errorf("a Secret is read that is no user's:\n%s", text)
	}
	if err := cluster.Delete(t.Context(), endpoint("with")); err != nil {
		t.Fatal(err)
	}
	if text := page(cluster); strings.Contains(text, `name="shop",namespace="with"`) {
		t.Errorf("an endpoint that is gone is told:\n%s", text)
	}
	if text := page(notBegun{}); text != "" {
		t.Errorf("of a cache that has not begun is told:\n%s", text)
	}
}

// notBegun is a cache before its start.
type notBegun struct{ client.Reader }

func (notBegun) List(context.Context, client.ObjectList, ...client.ListOption) error {
	return errors.New("not begun")
}
