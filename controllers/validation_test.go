//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// TestValidation asks the API server about one change of a good endpoint. A row without a refusal is the other side of the
// boundary.
func TestValidation(t *testing.T) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "validation-"}}
	create(t, namespace)
	type endpoint = v1alpha1.WeChatEndpoint
	ingress := func(e *endpoint, tuning v1alpha1.IngressExposure) {
		e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureIngress, &tuning
	}
	deadline := func(d time.Duration) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Backend.Deadline = &metav1.Duration{Duration: d} }
	}
	freshness := func(d time.Duration) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Verification.Freshness = &metav1.Duration{Duration: d} }
	}
	for name, test := range map[string]struct {
		edit    func(*endpoint)
		refusal string
	}{
		"a good endpoint":                   {func(*endpoint) {}, ""},
		"a name of 40 characters":           {func(e *endpoint) { e.Name = strings.Repeat("a", 40) }, ""},
		"a name of 41 characters":           {func(e *endpoint) { e.Name = strings.Repeat("a", 41) }, "at most 40 characters"},
		"a name with a dot":                 {func(e *endpoint) { e.Name = "a.b" }, "at most 40 characters"},
		"a name that begins with a digit":   {func(e *endpoint) { e.Name = "1a" }, "starts with a letter"},
		"an unknown platform":               {func(e *endpoint) { e.Spec.Platform = "Weibo" }, "Unsupported value"},
		"an unknown mode":                   {func(e *endpoint) { e.Spec.MessageMode = "Secret" }, "Unsupported value"},
		"no appID":                          {func(e *endpoint) { e.Spec.AppID = "" }, "appID"},
		"an appID with a header in it":      {func(e *endpoint) { e.Spec.AppID = "wx1\r\nX-Evil: 1" }, "letters, digits"},
		"an appID of 64 characters":         {func(e *endpoint) { e.Spec.AppID = strings.Repeat("w", 64) }, ""},
		"an appID of 65 characters":         {func(e *endpoint) { e.Spec.AppID = strings.Repeat("w", 65) }, "Too long"},
		"a Secret's name in capitals":       {func(e *endpoint) { e.Spec.Credentials.SecretName = "Shop" }, "must be the name of a Secret"},
		"a path with a dot in a segment":    {func(e *endpoint) { e.Spec.URL.Path = "/a/b.c/~d" }, ""},
		"the path / alone":                  {func(e *endpoint) { e.Spec.URL.Path = "/" }, "url.path"},
		"a path with a trailing slash":      {func(e *endpoint) { e.Spec.URL.Path = "/weixin/" }, "must be like /weixin"},
		"a path with a query":               {func(e *endpoint) { e.Spec.URL.Path = "/weixin?a=b" }, "must be like /weixin"},
		"a path with a dot segment":         {func(e *endpoint) { e.Spec.URL.Path = "/a/../b" }, "must not hold a . or .. segment"},
		"a path with an encoded slash":      {func(e *endpoint) { e.Spec.URL.Path = "/a%2fb" }, "must be like /weixin"},
		"a path of 256 characters":          {func(e *endpoint) { e.Spec.URL.Path = "/" + strings.Repeat("a", 255) }, ""},
		"a path of 257 characters":          {func(e *endpoint) { e.Spec.URL.Path = "/" + strings.Repeat("a", 256) }, "Too long"},
		"a host with a port":                {func(e *endpoint) { e.Spec.URL.Host = "wx.example.com:80" }, "without scheme, port"},
		"a host in capitals":                {func(e *endpoint) { e.Spec.URL.Host = "WX.example.com" }, "lower case"},
		"a host with a wildcard":            {func(e *endpoint) { e.Spec.URL.Host = "*.example.com" }, "wildcard"},
		"a host with a trailing dot":        {func(e *endpoint) { e.Spec.URL.Host = "wx.example.com." }, "trailing dot"},
		"no host":                           {func(e *endpoint) { e.Spec.URL.Host = "" }, ""},
		"a class of the ingress controller": {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{ClassName: "traefik"}) }, ""},
		"an ingress section without an Ingress": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{ClassName: "traefik"})
			e.Spec.URL.Exposure = v1alpha1.ExposureNone
		}, "only used when url.exposure is Ingress"},
		"a class with a space":       {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{ClassName: "a b"}) }, "name of an IngressClass"},
		"a certificate for a host":   {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "tls"}) }, ""},
		"a certificate without host": {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "tls"}); e.Spec.URL.Host = "" }, "needs url.host"},
		"a certificate's bad name":   {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "T"}) }, "name of a Secret"},
		"an annotation of 1024 characters": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{Annotations: map[string]string{"a": strings.Repeat("x", 1024)}})
		}, ""},
		"an annotation of 1025 characters": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{Annotations: map[string]string{"a": strings.Repeat("x", 1025)}})
		}, "at most 1024"},
		"a port by name":                {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("web") }, ""},
		"the highest port":              {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(65535) }, ""},
		"a port too high":               {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(65536) }, "from 1 to 65535"},
		"a port number in quotes":       {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("8080") }, "without quotes"},
		"a Service with a dot":          {func(e *endpoint) { e.Spec.Backend.Service.Name = "app.other" }, "must be the name of a Service"},
		"the app's root":                {func(e *endpoint) { e.Spec.Backend.Path = "/" }, ""},
		"the app's path, with a slash":  {func(e *endpoint) { e.Spec.Backend.Path = "/weixin/" }, ""},
		"the app's path, with two":      {func(e *endpoint) { e.Spec.Backend.Path = "/weixin//" }, "backend.path must be like"},
		"the app's path, dotted":        {func(e *endpoint) { e.Spec.Backend.Path = "/a/.." }, "must not hold a . or .. segment"},
		"the shortest deadline":         {deadline(100 * time.Millisecond), ""},
		"a deadline too short":          {deadline(99 * time.Millisecond), "from 100ms to 4900ms"},
		"the longest deadline":          {deadline(4900 * time.Millisecond), ""},
		"a deadline after WeChat's own": {deadline(5 * time.Second), "WeChat hangs up after 5s"},
		"the shortest freshness":        {freshness(30 * time.Second), ""},
		"a freshness too short":         {freshness(29 * time.Second), "from 30s to 24h"},
		"the longest freshness":         {freshness(24 * time.Hour), ""},
		"a freshness too long":          {freshness(24*time.Hour + time.Second), "from 30s to 24h"},
		"no replicas":                   {func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(0)) }, ""},
		"too many replicas":             {func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(101)) }, "less than or equal to 100"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(namespace.Name)
			test.edit(e)
			err := cluster.client.Create(t.Context(), e, client.DryRunAll)
			switch {
			case test.refusal == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.refusal != "" && (err == nil || !strings.Contains(err.Error(), test.refusal)):
				t.Errorf("error %v, want one with %q", err, test.refusal)
			}
		})
	}
}

func TestDefaultsAreStored(t *testing.T) {
	namespace := newNamespace(t)
	endpoint := newEndpoint(namespace)
	create(t, endpoint)
	spec := endpoint.Spec
	if spec.MessageMode != v1alpha1.MessageModePlaintext || spec.Backend.Deadline.Duration != 4500*time.Millisecond ||
		spec.Verification.Freshness.Duration != 5*time.Minute || *spec.Sidecar.Replicas != 2 {
		t.Errorf("stored %+v, want the documented defaults", spec)
	}
}
