// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/gatewayapi"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/snapshot"
)

// TestWhichServicesAreCalled: one of the own namespace, or of another that grants it, with that port.
func TestWhichServicesAreCalled(t *testing.T) {
	grant := func(edit func(*gatewayapi.ReferenceGrantSpec)) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) {
			one := gatewayapi.ReferenceGrant{ObjectMeta: metav1.ObjectMeta{Namespace: "team-b"}, Spec: gatewayapi.ReferenceGrantSpec{
				From: []gatewayv1beta1.ReferenceGrantFrom{{Group: "wechatendpoint.io", Kind: "WeChatEndpoint", Namespace: "team-a"}},
				To:   []gatewayv1beta1.ReferenceGrantTo{{Kind: "Service"}},
			}}
			edit(&one.Spec)
			s.Grants = append(s.Grants, one)
		}
	}
	service := func(namespace string, edit func(*corev1.Service)) func(*snapshot.Snapshot) {
		return func(s *snapshot.Snapshot) { edit(s.Services[types.NamespacedName{Namespace: namespace, Name: "app"}]) }
	}
	nothing, all := func(*snapshot.Snapshot) {}, grant(func(*gatewayapi.ReferenceGrantSpec) {})
	for name, test := range map[string]struct {
		options   installation.Options
		namespace string // that the reference names
		edit      func(*snapshot.Snapshot)
		url       string
		reason    string
		message   string
	}{
		"of the own namespace":        {installation.Options{}, "", nothing, "http://app.team-a.svc:80", "", ""},
		"of the own one, by its name": {installation.Options{}, "team-a", nothing, "http://app.team-a.svc:80", "", ""},
		"one that does not exist":     {installation.Options{}, "", func(s *snapshot.Snapshot) { s.Services = nil }, "", v1alpha1.ReasonServiceNotFound, "create it, or correct backend.service.name"},
		"one that leads out":          {installation.Options{}, "", service("team-a", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeExternalName }), "", v1alpha1.ReasonServiceNotAllowed, "is of type ExternalName"},
		"a sidecar's own": {installation.Options{}, "", service("team-a", func(s *corev1.Service) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "wechatendpoint.io/v1alpha1", Kind: "WeChatEndpoint", Controller: new(true)}}
		}), "", v1alpha1.ReasonServiceNotAllowed, "is a sidecar's own"},
		"one without the port":      {installation.Options{}, "", service("team-a", func(s *corev1.Service) { s.Spec.Ports[0].Port, s.Spec.Ports[0].Name = 81, "web" }), "", v1alpha1.ReasonPortNotFound, "set backend.service.port to one of 81 (web)"},
		"one with the port for UDP": {installation.Options{}, "", service("team-a", func(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }), "", v1alpha1.ReasonPortNotFound, ""},
		"a port's number in quotes": {installation.Options{}, "", func(s *snapshot.Snapshot) { s.Endpoint.Spec.Backend.Service.Port = intstr.FromString("80") }, "",
			v1alpha1.ReasonPortNotFound, "no TCP port of the name 80: write a port's number without quotes, and set backend.service.port to one of 80"},
		"a port whose name is a number": {installation.Options{}, "", func(s *snapshot.Snapshot) {
			service("team-a", func(s *corev1.Service) { s.Spec.Ports[0].Name = "80" })(s)
			s.Endpoint.Spec.Backend.Service.Port = intstr.FromString("80")
		}, "http://app.team-a.svc:80", "", ""},
		"of another namespace, granted":   {installation.Options{}, "team-b", all, "http://app.team-b.svc:80", "", ""},
		"of another one, without a grant": {installation.Options{}, "team-b", nothing, "", v1alpha1.ReasonReferenceNotGranted, "ask its team for a ReferenceGrant"},
		"granted to another kind":         {installation.Options{}, "team-b", grant(func(g *gatewayapi.ReferenceGrantSpec) { g.From[0].Kind = "HTTPRoute" }), "", v1alpha1.ReasonReferenceNotGranted, ""},
		"granted to another namespace":    {installation.Options{}, "team-b", grant(func(g *gatewayapi.ReferenceGrantSpec) { g.From[0].Namespace = "team-c" }), "", v1alpha1.ReasonReferenceNotGranted, ""},
		"granted of another Service":      {installation.Options{}, "team-b", grant(func(g *gatewayapi.ReferenceGrantSpec) { g.To[0].Name = new(gatewayv1beta1.ObjectName("other")) }), "", v1alpha1.ReasonReferenceNotGranted, ""},
		"granted of this one":             {installation.Options{}, "team-b", grant(func(g *gatewayapi.ReferenceGrantSpec) { g.To[0].Name = new(gatewayv1beta1.ObjectName("app")) }), "http://app.team-b.svc:80", "", ""},
		"granted by a third namespace":    {installation.Options{}, "team-b", func(s *snapshot.Snapshot) { all(s); s.Grants[0].Namespace = "team-c" }, "", v1alpha1.ReasonReferenceNotGranted, ""},
		"of a namespace that is not seen": {installation.Options{Namespaces: []string{"team-a"}}, "team-b", all, "", v1alpha1.ReasonReferenceNotGranted, "add team-b to watchNamespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &snapshot.Snapshot{Endpoint: &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a"}}, Services: map[types.NamespacedName]*corev1.Service{}}
			s.Endpoint.Spec.Backend.Service = v1alpha1.ServiceReference{Namespace: test.namespace, Name: "app", Port: intstr.FromInt32(80)}
			for _, namespace := range []string{"team-a", "team-b"} {
				s.Services[types.NamespacedName{Namespace: namespace, Name: "app"}] = &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
			}
			test.edit(s)
			urls, problem := Resolve(&test.options, s)
			if (problem == nil) != (test.reason == "") || problem != nil && (problem.Reason != test.reason || !strings.Contains(problem.Message, test.message)) {
				t.Errorf("the problem is %+v, want %s with %q", problem, test.reason, test.message)
			}
			if problem == nil && urls.Backend != test.url {
				t.Errorf("called is %s, want %s", urls.Backend, test.url)
			}
		})
	}
}
