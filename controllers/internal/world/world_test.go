// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package world_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/controllers/internal/kept"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/world"
)

// TestByWhatAnIngressIsFound: by each Service that it leads to, and by any where it leads to more than are kept.
func TestByWhatAnIngressIsFound(t *testing.T) {
	to := func(service string) networkingv1.IngressBackend {
		return networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: service}}
	}
	ingress := &networkingv1.Ingress{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "web"}}
	ingress.Spec.DefaultBackend = new(to("app"))
	ingress.Spec.Rules = []networkingv1.IngressRule{{IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{
		Paths: []networkingv1.HTTPIngressPath{{Backend: to("app")}, {Backend: to("admin")}},
	}}}}
	if diff := cmp.Diff([]string{"team-a/app", "team-a/admin"}, world.LeadsTo(ingress)); diff != "" {
		t.Errorf("it has other keys (-want +got):\n%s", diff)
	}
	ingress.Annotations = map[string]string{kept.NoteLeadsTo: ""}
	if diff := cmp.Diff([]string{"team-a/app", "team-a/admin", "team-a/*"}, world.LeadsTo(ingress)); diff != "" {
		t.Errorf("it has other keys where it leads to more (-want +got):\n%s", diff)
	}
}
