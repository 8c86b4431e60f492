// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// validationRow is one change of a good endpoint, and the CRD's answer: part of the refusal; nothing, or keeps(…), where there is none.
type validationRow struct {
	edit   func(*v1alpha1.WeChatEndpoint)
	answer string
}

// accepts reports whether the CRD accepts what the row makes.
func (r validationRow) accepts() bool { return r.answer == "" || strings.HasPrefix(r.answer, keeping) }

// validationRows are changes of a good endpoint, by what they are. One without a refusal is the other side of a boundary.
func validationRows() map[string]validationRow {
	type endpoint = v1alpha1.WeChatEndpoint
	ingress := func(e *endpoint, tuning v1alpha1.IngressExposure) {
		e.Spec.URL.Exposure, e.Spec.URL.Ingress = v1alpha1.ExposureIngress, &tuning
	}
	annotation := func(key, value string) func(*endpoint) {
		return func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{key: v1alpha1.AnnotationValue(value)}})
		}
	}
	deadline := func(d time.Duration) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Backend.Deadline = &metav1.Duration{Duration: d} }
	}
	overlap := func(d time.Duration) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Credentials.Overlap = &metav1.Duration{Duration: d} }
	}
	freshness := func(d time.Duration) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Verification.Freshness = &metav1.Duration{Duration: d} }
	}
	platform := func(p v1alpha1.Platform, mode v1alpha1.MessageMode) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Platform, e.Spec.MessageMode = p, mode }
	}
	path := func(path string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.URL.Path = path }
	}
	query := func(query string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.URL.Query = query }
	}
	port := func(port int32) func(*endpoint) {
		return func(e *endpoint) { e.Spec.URL.Port = port }
	}
	matching := func(match v1alpha1.RuleMatch) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Rules = []v1alpha1.Rule{{Match: match, Action: v1alpha1.RuleActionForward}} }
	}
	both := func(first, then func(*endpoint)) func(*endpoint) {
		return func(e *endpoint) { first(e); then(e) }
	}
	receivers := func(path string, ids ...string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.URL.Path, e.Spec.ReceiverIDs = path, ids }
	}
	rules := func(rules ...v1alpha1.Rule) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Rules = rules }
	}
	text := v1alpha1.RuleMatch{MsgType: "text"}
	other := &v1alpha1.Backend{Service: v1alpha1.ServiceReference{Name: "other", Port: intstr.FromString("web")}}
	forward := func(onDeadline v1alpha1.OnDeadline) v1alpha1.Rule {
		backend := other.DeepCopy()
		backend.OnDeadline, backend.Path = onDeadline, "/other"
		return v1alpha1.Rule{Match: text, Action: v1alpha1.RuleActionForward, Backend: backend}
	}
	domainFile := func(name, content string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.DomainFiles = []v1alpha1.DomainFile{{Name: name, Content: content}} }
	}
	audit := func(edit func(*endpoint)) func(*endpoint) {
		return func(e *endpoint) {
			e.Spec.Backend.Payload = v1alpha1.PayloadOriginal
			e.Spec.Verification.Enforcement = v1alpha1.EnforcementInsecureAudit
			e.Spec.Verification.AuditUntil = &metav1.Time{Time: time.Now().Add(time.Hour)}
			edit(e)
		}
	}
	const certificate = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"
	// bundles are rules whose apps are known by certificates of so many characters together.
	bundles := func(all int) func(*endpoint) {
		return func(e *endpoint) {
			for ; all > 0; all -= 16 << 10 {
				rule := forward("")
				rule.Backend.TLS = &v1alpha1.BackendTLS{CABundle: certificate + strings.Repeat("\n", min(all, 16<<10)-len(certificate))}
				e.Spec.Rules = append(e.Spec.Rules, rule)
			}
		}
	}
	autoscaling := func(least, most int32) func(*endpoint) {
		return func(e *endpoint) {
			e.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MinReplicas: &least, MaxReplicas: most}
		}
	}
	cpu := func(name corev1.ResourceName) *corev1.ResourceRequirements {
		return &corev1.ResourceRequirements{Requests: corev1.ResourceList{name: resource.MustParse("1")}}
	}
	cpuLimit := &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}}
	onGateway := func(name string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Gateway = &v1alpha1.GatewayReference{Name: name} }
	}
	image := func(version string) func(*endpoint) {
		return func(e *endpoint) { e.Spec.Sidecar.ImageVersion = version }
	}
	return map[string]validationRow{
		"a good endpoint":                   {func(*endpoint) {}, ""},
		"a name of one letter":              {func(e *endpoint) { e.Name = "a" }, keeps("metadata.name must be")},
		"a name of 40 characters":           {func(e *endpoint) { e.Name = strings.Repeat("a", 40) }, keeps("metadata.name must be")},
		"a name of 41 characters":           {func(e *endpoint) { e.Name = strings.Repeat("a", 41) }, "at most 40 characters"},
		"a name with a dot":                 {func(e *endpoint) { e.Name = "a.b" }, "at most 40 characters"},
		"a name that begins with a digit":   {func(e *endpoint) { e.Name = "1a" }, "starts with a letter"},
		"an unknown platform":               {func(e *endpoint) { e.Spec.Platform = "Weibo" }, "Unsupported value"},
		"an unknown mode":                   {func(e *endpoint) { e.Spec.MessageMode = "Secret" }, "Unsupported value"},
		"no appID":                          {func(e *endpoint) { e.Spec.AppID = "" }, "appID"},
		"an appID of one character":         {func(e *endpoint) { e.Spec.AppID = "1" }, keeps("appID holds")},
		"an appID with a header in it":      {func(e *endpoint) { e.Spec.AppID = "wx1\r\nX-Evil: 1" }, "letters, digits"},
		"an appID of 64 characters":         {func(e *endpoint) { e.Spec.AppID = strings.Repeat("w", 64) }, keeps("appID holds")},
		"an appID of 65 characters":         {func(e *endpoint) { e.Spec.AppID = strings.Repeat("w", 65) }, "Too long"},
		"a Secret's name in capitals":       {func(e *endpoint) { e.Spec.Credentials.SecretName = "Shop" }, "must be the name of a Secret"},
		"a Secret's name with a dot":        {func(e *endpoint) { e.Spec.Credentials.SecretName = "0.shop" }, keeps("credentials.secretName")},
		"the shortest path":                 {path("/a"), keeps("url.path must be like")},
		"a path with a dot in a segment":    {func(e *endpoint) { e.Spec.URL.Path = "/a/b.c/~d" }, keeps("url.path must be like", "url.path must not hold")},
		"the path / alone":                  {path("/"), keeps("url.path must be like")},
		"no path":                           {path(""), "url.path"},
		"a path with a trailing slash":      {func(e *endpoint) { e.Spec.URL.Path = "/weixin/" }, "must be like /, /weixin"},
		"a path with a query":               {func(e *endpoint) { e.Spec.URL.Path = "/weixin?a=b" }, "must be like /, /weixin"},
		"a path with a dot segment":         {func(e *endpoint) { e.Spec.URL.Path = "/a/../b" }, "must not hold a . or .. segment"},
		"a path with an encoded slash":      {func(e *endpoint) { e.Spec.URL.Path = "/a%2fb" }, "must be like /, /weixin"},
		"a path of 256 characters":          {func(e *endpoint) { e.Spec.URL.Path = "/" + strings.Repeat("a", 255) }, ""},
		"a path of 257 characters":          {func(e *endpoint) { e.Spec.URL.Path = "/" + strings.Repeat("a", 256) }, "Too long"},
		"a host with a port":                {func(e *endpoint) { e.Spec.URL.Host = "wx.example.com:80" }, "without scheme, port"},
		"a host in capitals":                {func(e *endpoint) { e.Spec.URL.Host = "WX.example.com" }, "lower case"},
		"a host with a wildcard":            {func(e *endpoint) { e.Spec.URL.Host = "*.example.com" }, "wildcard"},
		"a host with a trailing dot":        {func(e *endpoint) { e.Spec.URL.Host = "wx.example.com." }, "trailing dot"},
		"a host of one letter":              {func(e *endpoint) { e.Spec.URL.Host = "a" }, keeps("url.host must be a host name in lower case")},
		"no host":                           {func(e *endpoint) { e.Spec.URL.Host = "" }, ""},
		"a class of the ingress controller": {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{ClassName: "traefik"}) }, keeps("url.ingress is only used", "url.ingress.className must be")},
		"an ingress section without an Ingress": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{ClassName: "traefik"})
			e.Spec.URL.Exposure = v1alpha1.ExposureNone
		}, "only used when url.exposure is Ingress"},
		"a Gateway": {func(e *endpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"}) }, keeps("url.httpRoute is required", "parentRefs: name must be")},
		"a listener of a Gateway elsewhere": {func(e *endpoint) {
			withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", Namespace: "platform", SectionName: "secure"})
		}, keeps("parentRefs: namespace must be", "parentRefs: sectionName must be")},
		"an HTTPRoute without a Gateway": {func(e *endpoint) { e.Spec.URL.Exposure = v1alpha1.ExposureHTTPRoute }, "name the Gateway in url.httpRoute.parentRefs"},
		"a Gateway without an HTTPRoute": {func(e *endpoint) {
			withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge"})
			e.Spec.URL.Exposure = v1alpha1.ExposureNone
		}, "or remove the section"},
		"no Gateway at all":     {func(e *endpoint) { withHTTPRoute(e) }, "parentRefs"},
		"a Gateway's bad name":  {func(e *endpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "Edge"}) }, "name of a Gateway"},
		"a bad namespace":       {func(e *endpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", Namespace: "a.b"}) }, "name of a namespace"},
		"a listener's bad name": {func(e *endpoint) { withHTTPRoute(e, v1alpha1.ParentReference{Name: "edge", SectionName: "a b"}) }, "name of a listener"},
		"nine Gateways": {func(e *endpoint) {
			withHTTPRoute(e, make([]v1alpha1.ParentReference, 9)...)
		}, "parentRefs"},
		"TLS ends before the cluster": {func(e *endpoint) { e.Spec.URL.Scheme = v1alpha1.SchemeHTTPS }, ""},
		"another scheme":              {func(e *endpoint) { e.Spec.URL.Scheme = "ws" }, "Unsupported value"},
		"a class with a space":        {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{ClassName: "a b"}) }, "name of an IngressClass"},
		"a certificate for a host":    {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "tls"}) }, keeps("url.ingress.tlsSecretName needs url.host", "url.ingress.tlsSecretName must be")},
		"a certificate without host":  {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "tls"}); e.Spec.URL.Host = "" }, "needs url.host"},
		"a certificate's bad name":    {func(e *endpoint) { ingress(e, v1alpha1.IngressExposure{TLSSecretName: "T"}) }, "name of a Secret"},
		"an annotation of 1024 characters": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{"a": v1alpha1.AnnotationValue(strings.Repeat("x", 1024))}})
		}, ""},
		"an annotation of 1025 characters": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{Annotations: map[string]v1alpha1.AnnotationValue{"a": v1alpha1.AnnotationValue(strings.Repeat("x", 1025))}})
		}, "may not be more than 1024"},
		"an annotation's usual key":              {annotation("cert-manager.io/Cluster-Issuer_1.x", "x"), keeps("a key must be like")},
		"an annotation's key with a line break":  {annotation("a\nb", "x"), "a key must be like cert-manager.io/issuer"},
		"an annotation's longest key":            {annotation(strings.Repeat("a.", 126)+"a/"+strings.Repeat("b", 63), "x"), keeps("a key must be like")},
		"an annotation's key too long":           {annotation(strings.Repeat("b", 64), "x"), "a key must be like cert-manager.io/issuer"},
		"an annotation's key with two slashes":   {annotation("a/b/c", "x"), "a key must be like cert-manager.io/issuer"},
		"an annotation with spaces and Chinese":  {annotation("a", "a b, 微信 1.0; \"q\" \\ {}"), keeps("a value must be one line")},
		"an annotation of nothing":               {annotation("a", ""), ""},
		"an annotation with a line break":        {annotation("a", "x\r\nX-Evil: 1"), "a value must be one line"},
		"an annotation that ends in a newline":   {annotation("a", "x\n"), "a value must be one line"},
		"an annotation with a tab":               {annotation("a", "a\tb"), "a value must be one line"},
		"an annotation with a zero byte":         {annotation("a", "a\x00b"), "a value must be one line"},
		"an annotation with a delete":            {annotation("a", "a\x7fb"), "a value must be one line"},
		"an annotation with a next line, U+0085": {annotation("a", "a\u0085b"), "a value must be one line"},
		"an annotation with a line separator":    {annotation("a", "a\u2028b"), "a value must be one line"},
		"an annotation that reads backwards":     {annotation("a", "a\u202eb"), "a value must be one line"},
		"a port by name":                         {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("web") }, ""},
		"the lowest port":                        {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(1) }, ""},
		"the highest port":                       {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(65535) }, ""},
		"a port below nothing":                   {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(-1) }, "should be greater than or equal to 1"},
		"a port too high":                        {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromInt32(65536) }, "should be less than or equal to 65535"},
		"a port number in quotes":                {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("8080") }, ""}, // a name
		"a port's name in capitals":              {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("Web") }, "should match '^[a-z0-9-]+$'"},
		"a port's name that begins with a digit": {func(e *endpoint) { e.Spec.Backend.Service.Port = intstr.FromString("8080-web") }, ""},
		"a Service with a dot":                   {func(e *endpoint) { e.Spec.Backend.Service.Name = "app.other" }, "must be the name of a Service"},
		"a Service of one letter":                {func(e *endpoint) { e.Spec.Backend.Service.Name = "a" }, keeps("backend.service.name")},
		"a Service of another namespace":         {func(e *endpoint) { e.Spec.Backend.Service.Namespace = "team-b" }, keeps("backend.service.namespace")},
		"a Service of no namespace":              {func(e *endpoint) { e.Spec.Backend.Service.Namespace = "team.b" }, "backend.service.namespace"},
		"an app by HTTPS": {func(e *endpoint) {
			e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: certificate, ServerName: "app.team-a.svc"}
		}, keeps("backend.tls.caBundle", "backend.tls.serverName")},
		"an app known by nobody": {func(e *endpoint) { e.Spec.Backend.TLS = &v1alpha1.BackendTLS{ServerName: "app"} }, "caBundle"},
		"an app known by a key":  {func(e *endpoint) { e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: "-----BEGIN PRIVATE KEY-----"} }, "certificates in PEM"},
		"an app with a port in its name": {func(e *endpoint) {
			e.Spec.Backend.TLS = &v1alpha1.BackendTLS{CABundle: certificate, ServerName: "app:443"}
		}, "backend.tls.serverName"},
		"the app's root":                      {func(e *endpoint) { e.Spec.Backend.Path = "/" }, keeps("backend.path must be like")},
		"the app's path, with a slash":        {func(e *endpoint) { e.Spec.Backend.Path = "/weixin/" }, keeps("backend.path must be like")},
		"the app's path, with two":            {func(e *endpoint) { e.Spec.Backend.Path = "/weixin//" }, "backend.path must be like"},
		"the app's path, dotted":              {func(e *endpoint) { e.Spec.Backend.Path = "/a/.." }, "must not hold a . or .. segment"},
		"the app's path, with dots in a name": {func(e *endpoint) { e.Spec.Backend.Path = "/a/..b" }, keeps("backend.path must not hold")},
		"the shortest deadline":               {deadline(100 * time.Millisecond), keeps("backend.deadline")},
		"a deadline too short":                {deadline(99 * time.Millisecond), "from 100ms to 4900ms"},
		"the longest deadline":                {deadline(4900 * time.Millisecond), keeps("backend.deadline")},
		"a deadline after WeChat's own":       {deadline(5 * time.Second), "WeChat hangs up after 5s"},
		"no overlap":                          {overlap(0), keeps("credentials.overlap")},
		"the longest overlap":                 {overlap(720 * time.Hour), keeps("credentials.overlap")},
		"an overlap too long":                 {overlap(720*time.Hour + time.Second), "credentials.overlap must be from 0s to 720h"},
		"an overlap before now":               {overlap(-time.Second), "credentials.overlap must be from 0s to 720h"},
		"a revocation of nothing":             {func(e *endpoint) { e.Spec.Credentials.RevokeBefore = 0 }, ""},
		"a revocation":                        {func(e *endpoint) { e.Spec.Credentials.RevokeBefore = 2 }, ""},
		"a revocation that counts backwards":  {func(e *endpoint) { e.Spec.Credentials.RevokeBefore = -1 }, "revokeBefore"},
		"the shortest freshness":              {freshness(30 * time.Second), keeps("verification.freshness")},
		"a freshness too short":               {freshness(29 * time.Second), "from 30s to 25h"},
		"the longest freshness":               {freshness(25 * time.Hour), keeps("verification.freshness")},
		"a freshness too long":                {freshness(25*time.Hour + time.Second), "from 30s to 25h"},
		"no replicas":                         {func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(0)) }, ""},
		"the most replicas":                   {func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(100)) }, ""},
		"too many replicas":                   {func(e *endpoint) { e.Spec.Sidecar.Replicas = new(int32(101)) }, "less than or equal to 100"},
		"autoscaling":                         {autoscaling(2, 2), keeps("maxReplicas must not be less")},
		"autoscaling to one pod":              {autoscaling(1, 1), keeps("maxReplicas must not be less")},
		"autoscaling of one pod":              {autoscaling(1, 100), ""},
		"autoscaling from nothing":            {autoscaling(0, 2), "greater than or equal to 1"},
		"autoscaling to too much":             {autoscaling(2, 101), "less than or equal to 100"},
		"autoscaling to less than its least":  {autoscaling(3, 2), "maxReplicas must not be less than minReplicas"},
		"autoscaling to one, without a least": {func(e *endpoint) { e.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{MaxReplicas: 1} }, "maxReplicas must not be less than minReplicas"},
		"autoscaling without a bound":         {func(e *endpoint) { e.Spec.Sidecar.Autoscaling = &v1alpha1.Autoscaling{} }, "maxReplicas"},
		"autoscaling to all of the CPU": {func(e *endpoint) {
			autoscaling(1, 2)(e)
			e.Spec.Sidecar.Autoscaling.TargetCPUUtilizationPercentage = new(int32(100))
		}, ""},
		"autoscaling to more than all of the CPU": {func(e *endpoint) {
			autoscaling(1, 2)(e)
			e.Spec.Sidecar.Autoscaling.TargetCPUUtilizationPercentage = new(int32(101))
		}, "less than or equal to 100"},
		"autoscaling to the least CPU": {func(e *endpoint) {
			autoscaling(1, 2)(e)
			e.Spec.Sidecar.Autoscaling.TargetCPUUtilizationPercentage = new(int32(1))
		}, ""},
		"autoscaling to no CPU": {func(e *endpoint) {
			autoscaling(1, 2)(e)
			e.Spec.Sidecar.Autoscaling.TargetCPUUtilizationPercentage = new(int32(0))
		}, "greater than or equal to 1"},
		"autoscaling of no replicas":               {func(e *endpoint) { autoscaling(1, 2)(e); e.Spec.Sidecar.Replicas = new(int32(0)) }, "remove autoscaling to stop the pods"},
		"autoscaling of one replica":               {func(e *endpoint) { autoscaling(1, 2)(e); e.Spec.Sidecar.Replicas = new(int32(1)) }, keeps("to stop the pods")},
		"autoscaling with a CPU request":           {func(e *endpoint) { autoscaling(1, 2)(e); e.Spec.Sidecar.Resources = cpu(corev1.ResourceCPU) }, keeps("needs a CPU request")},
		"autoscaling with a CPU limit alone":       {func(e *endpoint) { autoscaling(1, 2)(e); e.Spec.Sidecar.Resources = cpuLimit }, keeps("needs a CPU request")},
		"autoscaling without a CPU request":        {func(e *endpoint) { autoscaling(1, 2)(e); e.Spec.Sidecar.Resources = cpu(corev1.ResourceMemory) }, "set resources.requests.cpu"},
		"a pull Secret":                            {func(e *endpoint) { e.Spec.Sidecar.ImagePullSecrets = []v1alpha1.PullSecret{{Name: "regcred"}} }, keeps("imagePullSecrets: name")},
		"a pull Secret's bad name":                 {func(e *endpoint) { e.Spec.Sidecar.ImagePullSecrets = []v1alpha1.PullSecret{{Name: "a b"}} }, "imagePullSecrets: name must be the name of a Secret"},
		"a pull Secret twice":                      {func(e *endpoint) { e.Spec.Sidecar.ImagePullSecrets = []v1alpha1.PullSecret{{Name: "a"}, {Name: "a"}} }, "Duplicate value"},
		"32 tolerations":                           {func(e *endpoint) { e.Spec.Sidecar.Tolerations = make([]corev1.Toleration, 32) }, ""},
		"33 tolerations":                           {func(e *endpoint) { e.Spec.Sidecar.Tolerations = make([]corev1.Toleration, 33) }, "at most 32 items"},
		"a priority":                               {func(e *endpoint) { e.Spec.Sidecar.PriorityClassName = "system-cluster-critical" }, keeps("priorityClassName must")},
		"a priority's bad name":                    {func(e *endpoint) { e.Spec.Sidecar.PriorityClassName = "High" }, "must be the name of a PriorityClass"},
		"an image by a tag of one letter":          {image("a"), keeps("imageVersion must")},
		"an image by the longest tag":              {image(strings.Repeat("a", 128)), keeps("imageVersion must")},
		"an image by a tag too long":               {image(strings.Repeat("a", 129)), "may not be more than 128"},
		"an image by its digest":                   {image("sha256:" + strings.Repeat("0f", 32)), keeps("imageVersion must")},
		"an image by half a digest":                {image("sha256:" + strings.Repeat("0f", 16)), "with 64 hexadecimal digits"},
		"an image of another repository":           {image("evil.example.com/sidecar:1"), "the repository is the installation's"},
		"an image by a tag that begins with a dot": {image(".1"), "imageVersion must be a tag"},
		"a gateway":                                {onGateway("front"), keeps("gateway.name must", "sidecar must be left out")},
		"a gateway of 40 characters":               {onGateway(strings.Repeat("a", 40)), ""},
		"a gateway of 41 characters":               {onGateway(strings.Repeat("a", 41)), "Too long"},
		"a gateway that begins with a digit":       {onGateway("1a"), "gateway.name must be the name of a WeChatGateway"},
		"a gateway of another namespace":           {onGateway("team-b/front"), "gateway.name must be the name of a WeChatGateway"},
		"a gateway, and pods of its own":           {both(onGateway("front"), image("1")), "sidecar must be left out with gateway"},
		"an Official Account without a mode":       {func(e *endpoint) { e.Spec.MessageMode = "" }, "as 消息加解密方式 in the console"},
		"a Mini Program without a mode":            {platform(v1alpha1.PlatformMiniProgram, ""), "as 消息加解密方式 in the console"},
		"a Mini Program in mode Compatible":        {platform(v1alpha1.PlatformMiniProgram, v1alpha1.MessageModeCompatible), keeps("as 消息加解密方式 in the console")},
		"a Shop without a mode":                    {platform(v1alpha1.PlatformShop, ""), ""},
		"a Shop in mode Encrypted":                 {platform(v1alpha1.PlatformShop, v1alpha1.MessageModeEncrypted), keeps("left out or Encrypted")},
		"WeCom in mode Plaintext":                  {platform(v1alpha1.PlatformWeCom, v1alpha1.MessageModePlaintext), "left out or Encrypted"},
		"OpenPlatform in mode Compatible":          {platform(v1alpha1.PlatformOpenPlatform, v1alpha1.MessageModeCompatible), "left out or Encrypted"},
		"Pay without a mode":                       {platform(v1alpha1.PlatformPay, ""), keeps("platform Pay has none")},
		"Pay in mode Encrypted":                    {platform(v1alpha1.PlatformPay, v1alpha1.MessageModeEncrypted), "platform Pay has none"},
		"receivers, one of them empty":             {receivers("/weixin", "ww1", ""), keeps("receiverIDs holds")},
		"a receiver of 128 characters":             {receivers("/weixin", strings.Repeat("w", 128)), keeps("receiverIDs holds")},
		"a receiver of 129 characters":             {receivers("/weixin", strings.Repeat("w", 129)), "Too long"},
		"a receiver with a space":                  {receivers("/weixin", "ww 1"), "copy the ids from the console"},
		"a receiver twice":                         {receivers("/weixin", "ww1", "ww1"), "Duplicate value"},
		"32 receivers":                             {receivers("/weixin", many(32)...), ""},
		"33 receivers":                             {receivers("/weixin", many(33)...), "at most 32 items"},
		"a receiver from the path":                 {receivers("/wecom/$CORPID$", "$CORPID$"), keeps("only if url.path has that segment", "receiverIDs may hold * only")},
		"a receiver from the query":                {both(query("corp=$CORPID$"), receivers("/wecom", "$CORPID$")), ""},
		"a receiver from another one's place":      {both(query("corp=$APPID$"), receivers("/wecom", "$CORPID$")), "or url.query that value"},
		"any receiver":                             {both(platform(v1alpha1.PlatformWeCom, ""), receivers("/wecom", "*")), keeps("receiverIDs may hold * only", "receiverIDs holds")},
		"any receiver of an Official Account":      {receivers("/weixin", "*"), "receiverIDs may hold * only for platform WeCom"},
		"a receiver with an asterisk":              {both(platform(v1alpha1.PlatformWeCom, ""), receivers("/wecom", "ww*")), "copy the ids from the console"},
		"a query":                                  {query("id=5"), keeps("url.query must be like", "url.query must not name signature", "url.query must not name encrypt_type", "url.query may hold one placeholder", "url.query and url.path may hold")},
		"a query of all that it may hold":          {query("id=5&kind=%E4%BD%A0&flag&_.~-=:/@!()*,+-&empty=&appid=/$APPID$"), ""},
		"a query of 256 characters":                {query("a=" + strings.Repeat("5", 254)), ""},
		"a query of 257 characters":                {query("a=" + strings.Repeat("5", 255)), "may not be more than 256"},
		"a query with its question mark":           {query("?id=5"), "without the question mark"},
		"a query with a line break":                {query("id=5\nX-Evil: 1"), "url.query must be like"},
		"a query with a fragment":                  {query("id=5#a"), "url.query must be like"},
		"a query with half an escape":              {query("id=%5"), "url.query must be like"},
		"a query with a quote":                     {query("id='5'"), "url.query must be like"},
		"a query without a name":                   {query("=5"), "url.query must be like"},
		"a query that ends early":                  {query("a=5&"), "url.query must be like"},
		"a query with an unknown placeholder":      {query("id=$OPENID$"), "url.query must be like"},
		"a query with a placeholder for a name":    {query("$APPID$=5"), "url.query must be like"},
		"a query with two placeholders":            {query("a=$APPID$&b=$CORPID$"), "write $APPID$ or $CORPID$ once"},
		"a query and a path with one each":         {both(path("/a/$APPID$"), query("a=$APPID$")), "url.query and url.path may hold one placeholder together"},
		"a query with a parameter twice":           {query("id=5&a&id=6"), ""},
		"a query of 16 parameters":                 {query(strings.Join(many(16), "&")), ""},
		"a query of 17 parameters":                 {query(strings.Join(many(17), "&")), "at most 16 parameters"},
		"a query with a nonce":                     {query("id=5&nonce=5"), "which WeChat adds: remove it from the URL in the console too"},
		"a query with a signature without value":   {query("msg_signature"), "which WeChat adds: remove it from the URL in the console too"},
		"a query with almost a nonce":              {query("nonces=5&mynonce=5"), ""},
		"a query with an openid":                   {query("openid=5"), "which WeChat adds by itself"},
		"a query with encrypt_type":                {query("id=5&encrypt_type=AES"), "which WeChat adds by itself"},
		"WeCom's query with an openid":             {both(platform(v1alpha1.PlatformWeCom, ""), query("openid=5")), keeps("url.query must not name encrypt_type")},
		"a port of WeCom's URL":                    {both(platform(v1alpha1.PlatformWeCom, ""), port(65535)), keeps("url.port is only for")},
		"a port too high for a URL":                {both(platform(v1alpha1.PlatformWeCom, ""), port(65536)), "less than or equal to 65535"},
		"a port of an Official Account's URL":      {port(8443), "WeChat calls no other ports than 80 and 443"},
		"an address for a host, of an Ingress": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{ClassName: "a"})
			e.Spec.URL.Host = "203.0.113.7"
		}, "Kubernetes takes no IP address there"},
		"almost an address, of an Ingress": {func(e *endpoint) {
			ingress(e, v1alpha1.IngressExposure{ClassName: "a"})
			e.Spec.URL.Host = "203.0.113.7a"
		}, keeps("url.host must be a host name where")},
		"an address that the user routes":     {func(e *endpoint) { e.Spec.URL.Host = "203.0.113.7" }, ""},
		"a rule for an info of a Shop's":      {both(platform(v1alpha1.PlatformShop, ""), matching(v1alpha1.RuleMatch{InfoType: "a"})), "match.infoType matches nothing on this platform"},
		"a rule for an info of a suite's":     {both(platform(v1alpha1.PlatformWeCom, ""), matching(v1alpha1.RuleMatch{InfoType: "a"})), keeps("rules: match.infoType matches nothing on this", "rules: match.infoType beside")},
		"a rule for an info and an event":     {both(platform(v1alpha1.PlatformWeCom, ""), matching(v1alpha1.RuleMatch{InfoType: "a", Event: "b"})), "no message has both"},
		"a rule for an event that is a text":  {matching(v1alpha1.RuleMatch{MsgType: "text", Event: "b"}), "match.event matches only where MsgType is event"},
		"a rule for a type in capitals":       {matching(v1alpha1.RuleMatch{MsgType: "Text"}), "matches nothing with a capital letter"},
		"a rule for a type with a digit":      {matching(v1alpha1.RuleMatch{MsgType: "a_1"}), keeps("match.msgType matches nothing with a capital")},
		"a rule for an event by both":         {matching(v1alpha1.RuleMatch{MsgType: "event", Event: "b"}), keeps("match.event matches only")},
		"a rule for an event of Pay's":        {both(platform(v1alpha1.PlatformPay, ""), matching(v1alpha1.RuleMatch{Event: "TRANSACTION.SUCCESS"})), keeps("rules: match.msgType matches nothing on platform Pay")},
		"a rule for a type of Pay's":          {both(platform(v1alpha1.PlatformPay, ""), matching(v1alpha1.RuleMatch{MsgType: "text"})), "compare the notification's event_type"},
		"a receiver from no path":             {receivers("/wecom/$APPID$", "$CORPID$"), "only if url.path has that segment"},
		"a placeholder at the end":            {path("/weixin/$APPID$"), keeps("url.path must be like")},
		"a placeholder in the middle":         {path("/weixin/$CORPID$/callback"), ""},
		"a placeholder in the first segment":  {path("/$APPID$/callback"), keeps("url.path must be like")},
		"a placeholder alone":                 {path("/$APPID$"), ""},
		"two placeholders":                    {path("/weixin/$APPID$/$CORPID$"), "one whole segment may be"},
		"a placeholder in part of a segment":  {path("/weixin/a$APPID$"), "one whole segment may be"},
		"a placeholder before half a segment": {path("/$APPID$a/callback"), "one whole segment may be"},
		"an unknown placeholder":              {path("/weixin/$OPENID$"), "may be $APPID$ or $CORPID$"},
		"the original payload":                {func(e *endpoint) { e.Spec.Backend.Payload = v1alpha1.PayloadOriginal }, ""},
		"an unknown payload":                  {func(e *endpoint) { e.Spec.Backend.Payload = "Raw" }, "Unsupported value"},
		"an acknowledged message":             {func(e *endpoint) { e.Spec.Backend.OnDeadline = v1alpha1.OnDeadlineAcknowledge }, ""},
		"an unknown onDeadline":               {func(e *endpoint) { e.Spec.Backend.OnDeadline = "Wait" }, "Unsupported value"},
		"an acknowledged payment": {func(e *endpoint) {
			platform(v1alpha1.PlatformPay, "")(e)
			e.Spec.Backend.OnDeadline = v1alpha1.OnDeadlineAcknowledge
		}, "a payment that the app has not taken is never acknowledged"},
		"a payment that waits for a retry": {func(e *endpoint) {
			platform(v1alpha1.PlatformPay, "")(e)
			e.Spec.Backend.OnDeadline = v1alpha1.OnDeadlineAwaitRetry
		}, "backend.onDeadline must be Fail, or be left out"},
		"a payment that is sent again": {func(e *endpoint) {
			platform(v1alpha1.PlatformPay, "")(e)
			e.Spec.Backend.OnDeadline = v1alpha1.OnDeadlineFail
			rules(forward(v1alpha1.OnDeadlineFail))(e)
			e.Spec.Rules[0].Match = v1alpha1.RuleMatch{Event: "TRANSACTION.SUCCESS"}
		}, keeps("backend.onDeadline must be Fail, or be left out: WeChat Pay", "rules: backend.onDeadline must be Fail")},
		"a payment acknowledged by a rule": {func(e *endpoint) {
			platform(v1alpha1.PlatformPay, "")(e)
			rules(forward(v1alpha1.OnDeadlineAcknowledge))(e)
		}, "rules: backend.onDeadline must be Fail, or be left out"},
		"a rule with a backend":                 {rules(forward("")), ""},
		"a rule with the endpoint's backend":    {rules(v1alpha1.Rule{Match: text, Action: v1alpha1.RuleActionForward}), keeps("match must name", "match.msgType must be")},
		"a rule that discards":                  {rules(v1alpha1.Rule{Match: text, Action: v1alpha1.RuleActionDiscard}), keeps("not called by action Discard")},
		"a rule that discards to a backend":     {rules(v1alpha1.Rule{Match: text, Action: v1alpha1.RuleActionDiscard, Backend: other}), "not called by action Discard"},
		"a rule without action":                 {rules(v1alpha1.Rule{Match: text}), "action"},
		"a rule without match":                  {rules(v1alpha1.Rule{Action: v1alpha1.RuleActionForward}), "match"},
		"a rule for an event":                   {rules(v1alpha1.Rule{Match: v1alpha1.RuleMatch{Event: "subscribe"}, Action: v1alpha1.RuleActionForward}), keeps("match must name", "match.event must be")},
		"a rule for an info":                    {both(platform(v1alpha1.PlatformWeCom, ""), matching(v1alpha1.RuleMatch{InfoType: "suite_ticket"})), keeps("match must name", "match.infoType must be")},
		"a rule for an event with a space":      {rules(v1alpha1.Rule{Match: v1alpha1.RuleMatch{Event: "a b"}, Action: v1alpha1.RuleActionForward}), "match.event must be a word"},
		"a rule for a type with a space":        {rules(v1alpha1.Rule{Match: v1alpha1.RuleMatch{MsgType: "a b"}, Action: v1alpha1.RuleActionForward}), "match.msgType must be a word"},
		"a rule for an info with a space":       {rules(v1alpha1.Rule{Match: v1alpha1.RuleMatch{InfoType: "a b"}, Action: v1alpha1.RuleActionForward}), "match.infoType must be a word"},
		"64 KiB of certificates":                {bundles(64 << 10), keeps("caBundle must have at most 65536 characters together")},
		"more certificates than that":           {bundles(64<<10 + 100), "caBundle must have at most 65536 characters together"},
		"32 rules":                              {rules(slices.Repeat([]v1alpha1.Rule{forward("")}, 32)...), ""},
		"33 rules":                              {rules(slices.Repeat([]v1alpha1.Rule{forward("")}, 33)...), "at most 32 items"},
		"a domain file":                         {domainFile("MP_verify_abc.txt", "abc"), keeps("must not be that of url.path")},
		"a domain file of 64 letters":           {domainFile(strings.Repeat("a", 64)+".txt", "abc"), keeps("must be that of the file")},
		"a domain file of 65 letters":           {domainFile(strings.Repeat("a", 65)+".txt", "abc"), "may not be more than 68"},
		"a domain file in a folder":             {domainFile("a/b.txt", "abc"), "must be that of the file that the console offers"},
		"the web site's own file":               {domainFile("Robots.txt", "abc"), "which are the web site's own"},
		"a file almost like the web site's own": {domainFile("robots1.txt", "abc"), keeps("which are the web site's own")},
		"a domain file of 4096 bytes":           {domainFile("a.txt", strings.Repeat("a", 4096)), keeps("content must have at most 4096 bytes")},
		"a domain file of 4097 characters":      {domainFile("a.txt", strings.Repeat("a", 4097)), "4096"},
		"a domain file of too many bytes":       {domainFile("a.txt", strings.Repeat("信", 1366)), "at most 4096 bytes"},
		"a domain file at the path":             {func(e *endpoint) { domainFile("a.txt", "abc")(e); path("/a.txt")(e) }, "must not be that of url.path"},
		"a domain file twice": {func(e *endpoint) {
			domainFile("a.txt", "abc")(e)
			e.Spec.DomainFiles = append(e.Spec.DomainFiles, e.Spec.DomainFiles[0])
		}, "Duplicate value"},
		"17 domain files": {func(e *endpoint) {
			for _, name := range many(17) {
				e.Spec.DomainFiles = append(e.Spec.DomainFiles, v1alpha1.DomainFile{Name: name + ".txt", Content: "abc"})
			}
		}, "at most 16 items"},
		"an audit":                {audit(func(*endpoint) {}), keeps("needs backend.payload Original", "auditUntil is required", "auditUntil is only used", "a time must be of the years")},
		"an unknown enforcement":  {func(e *endpoint) { e.Spec.Verification.Enforcement = "Off" }, "Unsupported value"},
		"an audit without end":    {audit(func(e *endpoint) { e.Spec.Verification.AuditUntil = nil }), "auditUntil is required"},
		"an end without an audit": {audit(func(e *endpoint) { e.Spec.Verification.Enforcement = "" }), "only used with enforcement InsecureAudit"},
		"payments that are not audited": {func(e *endpoint) {
			platform(v1alpha1.PlatformPay, "")(e)
			e.Spec.Verification.Enforcement = v1alpha1.EnforcementEnforce
		}, keeps("never let through unverified")},
		"an audit of decrypted messages": {audit(func(e *endpoint) { e.Spec.Backend.Payload = "" }), "needs backend.payload Original"},
		"an audit of payments":           {audit(platform(v1alpha1.PlatformPay, "")), "never let through unverified"},
	}
}

// TestValidation asks the CRD about each row.
func TestValidation(t *testing.T) {
	crd := newDefinition(t)
	refusals, kept := "", map[string]bool{}
	// judge compares the CRD's answer with that of the row, and notes which rules refuse it and which it keeps.
	judge := func(t *testing.T, object *unstructured.Unstructured, answer string) {
		t.Helper()
		_, err := crd.accept(object.Object, nil)
		rules, good := strings.CutPrefix(answer, keeping)
		switch {
		case answer == "" || good:
			if err != nil {
				t.Fatalf("refused: %v", err)
			}
		case err == nil || !strings.Contains(err.Error(), answer):
			t.Errorf("error %v, want one with %q", err, answer)
		default:
			refusals += err.Error() + "\n"
		}
		if !good {
			return
		}
		for rule := range strings.SplitSeq(rules, "\n") {
			looked := slices.DeleteFunc(rulesFor(crd.schema, object.Object), func(message string) bool { return !strings.Contains(message, rule) })
			slices.Sort(looked)
			if looked = slices.Compact(looked); len(looked) != 1 {
				t.Errorf("%d rules of the CRD look at this and say %q, want one", len(looked), rule)
				continue
			}
			kept[looked[0]] = true
		}
	}
	for name, test := range validationRows() {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint("team-a")
			test.edit(e)
			judge(t, &unstructured.Unstructured{Object: asMap(t, e)}, test.answer)
		})
	}
	for name, test := range map[string]struct {
		field  string
		value  any // one that the Go types leave out, or cannot hold
		answer string
	}{
		"port 0":                       {"spec.backend.service.port", int64(0), "should be greater than or equal to 1"},
		"port 99999":                   {"spec.backend.service.port", int64(99999), "should be less than or equal to 65535"},
		"an empty port":                {"spec.backend.service.port", "", "spec.backend.service.port"},
		"port 0 of a URL":              {"spec.url.port", int64(0), "greater than or equal to 1"},
		"an empty query":               {"spec.url.query", "", "url.query"},
		"a year of five digits in UTC": {"spec.verification.auditUntil", "9999-12-31T23:59:59-23:59", "a time must be of the years 1000 to 8999"},
		"a year of three digits":       {"spec.verification.auditUntil", "1000-01-01T00:00:00+00:01", "a time must be of the years 1000 to 8999"},
		"a comma in the seconds":       {"spec.verification.auditUntil", "2026-12-01T12:00:00,5Z", "spec.verification.auditUntil"},
		"a list for a time":            {"spec.verification.auditUntil", []any{}, "spec.verification.auditUntil"},
		"half an exponent":             {"spec.sidecar.resources.limits.memory", "1e1.5", "spec.sidecar.resources.limits.memory"},
		"an exponent of seven digits":  {"spec.sidecar.resources.limits.memory", "12345678901234567890e1000000", "spec.sidecar.resources.limits.memory"},
		"a port and a half":            {"spec.backend.service.port", 8080.5, "spec.backend.service.port"},
		"a rule that matches nothing":  {"spec.rules", []any{map[string]any{"match": map[string]any{}, "action": "Forward"}}, "match must name at least one"},
	} {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{Object: asMap(t, newEndpoint("team-a"))}
			object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("WeChatEndpoint"))
			if err := unstructured.SetNestedField(object.Object, test.value, strings.Split(test.field, ".")...); err != nil {
				t.Fatal(err)
			}
			judge(t, object, test.answer)
		})
	}
	for _, message := range ruleMessages(t) {
		if !strings.Contains(refusals, message) {
			t.Errorf("no row is refused by this rule of the CRD: %s", message)
		}
		if !kept[message] {
			t.Errorf("no row keeps this rule of the CRD: %s", message)
		}
	}
}

// keeping begins the answer to what is accepted.
const keeping = "keeps "

// keeps is the answer to a row that is the good twin of refused ones: it is accepted, and each of these rules of the CRD, named
// by a part of its message, has looked at it.
func keeps(rules ...string) string { return keeping + strings.Join(rules, "\n") }

// rulesFor are the messages of the rules that look at a value: those of its schema, and of all that is in it.
func rulesFor(schema apiextensionsv1.JSONSchemaProps, value any) []string {
	var messages []string
	for _, rule := range schema.XValidations {
		messages = append(messages, rule.Message)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, child := range v {
			property, named := schema.Properties[key]
			if more := schema.AdditionalProperties; !named && more != nil && more.Schema != nil {
				property = *more.Schema
			}
			messages = append(messages, rulesFor(property, child)...)
		}
	case []any:
		for _, child := range v {
			if schema.Items != nil {
				messages = append(messages, rulesFor(*schema.Items.Schema, child)...)
			}
		}
	}
	return messages
}

// platformIsFixed is the one rule that only an update can break.
const platformIsFixed = "platform cannot be changed"

func TestPlatformIsFixed(t *testing.T) {
	crd, before := newDefinition(t), asMap(t, newEndpoint("team-a"))
	for name, test := range map[string]struct {
		edit   func(*v1alpha1.WeChatEndpoint)
		answer string
	}{
		"another account":  {func(e *v1alpha1.WeChatEndpoint) { e.Spec.AppID = "wx0000000000000000" }, ""},
		"another platform": {func(e *v1alpha1.WeChatEndpoint) { e.Spec.Platform = v1alpha1.PlatformMiniProgram }, platformIsFixed},
	} {
		after := newEndpoint("team-a")
		test.edit(after)
		if _, err := crd.accept(asMap(t, after), before); (err == nil) != (test.answer == "") || err != nil && !strings.Contains(err.Error(), test.answer) {
			t.Errorf("%s: error %v, want one with %q", name, err, test.answer)
		}
	}
}

// ruleMessages are those of all the rules that the CRD holds.
func ruleMessages(t *testing.T) []string {
	t.Helper()
	var definition any
	readDefinition(t, &definition)
	var messages []string
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if message, ok := n["message"].(string); ok && n["rule"] != nil && !strings.HasPrefix(message, platformIsFixed) {
				messages = append(messages, message)
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(definition)
	if len(messages) < 20 {
		t.Fatalf("the CRD has %d rules, it had more", len(messages))
	}
	slices.Sort(messages)
	return slices.Compact(messages)
}

func TestDefaultsAreStored(t *testing.T) {
	stored, err := newDefinition(t).accept(asMap(t, newEndpoint("team-a")), nil)
	if err != nil {
		t.Fatal(err)
	}
	spec := stored.Spec
	if spec.Backend.Payload != v1alpha1.PayloadDecrypted || spec.Verification.Enforcement != v1alpha1.EnforcementEnforce ||
		spec.Sidecar.Replicas != nil {
		t.Errorf("stored %+v, want the documented defaults", spec)
	}
	if spec.Backend.Deadline != nil || spec.Backend.OnDeadline != "" || spec.Verification.Freshness != nil {
		t.Errorf("stored %+v, want nothing for what has its default in the sidecar", spec)
	}
	sized := newEndpoint("team-a")
	sized.Spec.Sidecar.ImageVersion = "1"
	if stored, err = newDefinition(t).accept(asMap(t, sized), nil); err != nil || *stored.Spec.Sidecar.Replicas != 2 {
		t.Errorf("stored %+v, want two pods: %v", stored, err)
	}
}
