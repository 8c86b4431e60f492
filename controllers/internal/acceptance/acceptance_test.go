// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package acceptance

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/installation"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/verdict"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ingress(tuning v1alpha1.IngressExposure) func(*v1alpha1.WeChatEndpointSpec) {
	return func(s *v1alpha1.WeChatEndpointSpec) {
		s.URL.Exposure, s.URL.Ingress = v1alpha1.ExposureIngress, &tuning
	}
}

func auditUntil(ahead time.Duration) func(*v1alpha1.WeChatEndpointSpec) {
	return func(s *v1alpha1.WeChatEndpointSpec) {
		s.Verification.AuditUntil = new(metav1.NewTime(now.Add(ahead)))
	}
}

func TestWhatIsAllowedHere(t *testing.T) {
	noHost := func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Host = "" }
	annotated := ingress(v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{"b": "", "a": ""}})
	inside := installation.Options{AllowedIngressClasses: []string{"inside", "other"}}
	for name, test := range map[string]struct {
		options installation.Options
		edit    func(*v1alpha1.WeChatEndpointSpec)
		want    string // the reason; empty where it is allowed
		message string // part of it
	}{
		"a usual endpoint":                            {installation.Options{}, func(*v1alpha1.WeChatEndpointSpec) {}, "", ""},
		"no host, with a route":                       {installation.Options{}, func(s *v1alpha1.WeChatEndpointSpec) { noHost(s); ingress(v1alpha1.IngressExposure{})(s) }, v1alpha1.ReasonHostRequired, "allowEmptyHost"},
		"no host, where that is allowed":              {installation.Options{AllowEmptyHost: true}, func(s *v1alpha1.WeChatEndpointSpec) { noHost(s); ingress(v1alpha1.IngressExposure{})(s) }, "", ""},
		"no host, without a route":                    {installation.Options{}, noHost, "", ""},
		"an annotation that nobody has allowed":       {installation.Options{AllowedIngressAnnotations: []string{"b"}}, annotated, v1alpha1.ReasonAnnotationNotAllowed, "url.ingress.annotations: a is not allowed here"},
		"annotations that are allowed":                {installation.Options{AllowedIngressAnnotations: []string{"a", "b"}}, annotated, "", ""},
		"a class that is offered":                     {inside, ingress(v1alpha1.IngressExposure{ClassName: "other"}), "", ""},
		"a class that is not":                         {inside, ingress(v1alpha1.IngressExposure{ClassName: "outside"}), v1alpha1.ReasonIngressClassNotAllowed, `url.ingress.className is "outside": set it to one that this installation allows: inside, other`},
		"the cluster's class, where some are offered": {inside, func(s *v1alpha1.WeChatEndpointSpec) { s.URL.Exposure = v1alpha1.ExposureIngress }, v1alpha1.ReasonIngressClassNotAllowed, `is ""`},
		"the cluster's class, where all are":          {installation.Options{}, ingress(v1alpha1.IngressExposure{}), "", ""},
		"no Ingress, where some classes are offered":  {inside, func(*v1alpha1.WeChatEndpointSpec) {}, "", ""},
		"an audit that goes on":                       {installation.Options{}, auditUntil(time.Hour), "", ""},
		"an audit for 14 days":                        {installation.Options{}, auditUntil(14 * 24 * time.Hour), "", ""},
		"an audit for longer":                         {installation.Options{}, auditUntil(14*24*time.Hour + time.Second), v1alpha1.ReasonAuditTooLong, "not after 2026-12-04"},
		"an audit that ends now":                      {installation.Options{}, auditUntil(0), v1alpha1.ReasonAuditEnded, "every check is enforced again"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := &v1alpha1.WeChatEndpoint{}
			endpoint.Spec.URL = v1alpha1.CallbackURL{Host: "wx.example.com", Path: "/weixin", Exposure: v1alpha1.ExposureNone}
			test.edit(&endpoint.Spec)
			problem := Check(&test.options, endpoint, now)
			if (problem == nil) != (test.want == "") || problem != nil && (problem.Reason != test.want || !strings.Contains(problem.Message, test.message)) {
				t.Errorf("the problem is %+v, want %s with %q", problem, test.want, test.message)
			}
		})
	}
}

// TestWhenAnAuditIsJudgedOtherwise: no watch tells.
func TestWhenAnAuditIsJudgedOtherwise(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*v1alpha1.WeChatEndpointSpec)
		want verdict.Again
	}{
		"none is asked for":       {func(*v1alpha1.WeChatEndpointSpec) {}, verdict.Never},
		"it has ended":            {auditUntil(-time.Hour), verdict.Never},
		"it ends in an hour":      {auditUntil(time.Hour), verdict.In(time.Hour + time.Second)},
		"in an hour it may go on": {auditUntil(14*24*time.Hour + time.Hour), verdict.In(time.Hour + time.Second)},
	} {
		endpoint := &v1alpha1.WeChatEndpoint{}
		test.edit(&endpoint.Spec)
		if got := Again(endpoint, now); got != test.want {
			t.Errorf("%s: looked at again %+v, want %+v", name, got, test.want)
		}
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	for name, test := range map[string]struct {
		spec v1alpha1.WeChatEndpointSpec
		want string // the beginning of the message; empty where it can
	}{
		"a spec":             {v1alpha1.WeChatEndpointSpec{Platform: "Shop"}, ""},
		"no spec at all":     {v1alpha1.WeChatEndpointSpec{}, "spec is missing; what was served before is served on: correct it with kubectl -n team-a edit wxe shop"},
		"one broken field":   {v1alpha1.WeChatEndpointSpec{Platform: "Shop", Unreadable: []string{"a is b"}}, "a is b; what was served"},
		"three":              {v1alpha1.WeChatEndpointSpec{Platform: "Shop", Unreadable: []string{"a", "b", "c"}}, "a; b; c; what was served"},
		"more than a screen": {v1alpha1.WeChatEndpointSpec{Platform: "Shop", Unreadable: []string{"a", "b", "c", "d", "e"}}, "a; b; c; and more; what was served"},
	} {
		endpoint := &v1alpha1.WeChatEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "shop"}, Spec: test.spec}
		problem := CheckReadable(endpoint)
		if problem.Is(v1alpha1.ReasonSpecUnreadable) != (test.want != "") || problem != nil && !strings.HasPrefix(problem.Message, test.want) {
			t.Errorf("%s: the problem is %+v, want %q", name, problem, test.want)
		}
	}
}
