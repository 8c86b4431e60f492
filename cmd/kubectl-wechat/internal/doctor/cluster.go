// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

func inCluster(cause Cause, level Level, said, remedy text.Text) Finding {
	return Finding{Cause: cause, Place: FromCluster, Level: level, Text: said, Remedy: remedy}
}

func decideCluster(f Facts) (all []Finding) {
	c := *f.Cluster
	all = append(all, decideConditions(c.Endpoint)...)
	all = append(all, decideSecret(c)...)
	all = append(all, decidePods(c)...)
	all = append(all, decideIngresses(f, c)...)
	all = append(all, decideCertificate(f, c)...)
	return all
}

// decideConditions repeats what the operator says. What it says of an earlier spec says nothing.
func decideConditions(endpoint *v1alpha1.WeChatEndpoint) (all []Finding) {
	if endpoint.Status.ObservedGeneration < endpoint.Generation && len(endpoint.Status.Conditions) > 1 {
		all = append(all, inCluster(CauseOutdated, Risk, text.New("the operator has not seen the newest spec (generation %d): its word below is of generation %d", endpoint.Generation, endpoint.Status.ObservedGeneration),
			text.New("wait some seconds; if it lasts, see whether the operator runs")))
	}
	if endpoint.Spec.Verification.Enforcement == v1alpha1.EnforcementInsecureAudit {
		all = append(all, inCluster(CauseAudit, Risk, text.New("verification.enforcement is InsecureAudit: forged messages reach the app"), text.New("set it to Enforce once nothing genuine is refused")))
	}
	told := map[string]bool{}
	for _, condition := range endpoint.Status.Conditions {
		_, remedy := Reason(condition.Reason)
		waits := condition.Reason == v1alpha1.ReasonWaiting || condition.Reason == v1alpha1.ReasonRotationPending && condition.Status == metav1.ConditionTrue
		switch {
		case remedy.IsZero() || told[condition.Reason] || condition.Reason == v1alpha1.ReasonWaiting:
			continue
		case Holds(condition) && !waits && condition.Reason != v1alpha1.ReasonCredentialsLost && condition.Reason != v1alpha1.ReasonPaused:
			continue
		}
		told[condition.Reason] = true
		all = append(all, inCluster(Cause(condition.Reason), levelOf(condition), text.New("%s: %s", condition.Type, Said(condition)), remedy))
	}
	return all
}

// decisive are the conditions without which nobody serves the URL, or none as WeChat needs it.
var decisive = []string{
	v1alpha1.ConditionAccepted, v1alpha1.ConditionCredentialsResolved, v1alpha1.ConditionSidecarAvailable, v1alpha1.ConditionRouteProgrammed,
	v1alpha1.ConditionVerified, v1alpha1.ConditionReady,
}

// levelOf weighs a condition that does not hold. An endpoint that serves goes on serving what it was given last.
func levelOf(condition metav1.Condition) Level {
	switch {
	case condition.Status == metav1.ConditionUnknown:
		return Unknown
	case condition.Status == metav1.ConditionFalse && slices.Contains(decisive, condition.Type) && condition.Reason != v1alpha1.ReasonProgressing:
		return Refuses
	}
	return Risk
}

func decideSecret(c Cluster) []Finding {
	name := c.Endpoint.Namespace + "/" + c.Endpoint.Spec.Credentials.SecretName
	switch {
	case c.SecretErr != nil:
		return []Finding{unseen(text.New("Secret %s", name), c.SecretErr)}
	case c.Secret == nil:
		return []Finding{inCluster(CauseSecret, Refuses, text.New("there is no Secret %s", name), text.New("create it, or correct spec.credentials.secretName; kubectl wechat init writes one"))}
	case c.Secret.Labels[v1alpha1.LabelCredentials] != "true":
		return []Finding{inCluster(CauseSecretLabel, Refuses, text.New("the Secret %s lacks the label by which the operator sees it", name),
			text.New("kubectl -n %s label secret %s %s=true", c.Endpoint.Namespace, c.Endpoint.Spec.Credentials.SecretName, v1alpha1.LabelCredentials))}
	case c.Values != nil:
		return []Finding{inCluster(CauseSecretValue, Refuses, text.New("%v", c.Values), text.New("write the value again, as the console has it; mostly it is the newline of echo"))}
	}
	return nil
}

func unseen(what text.Text, err error) Finding {
	return inCluster(CauseUnseen, Unknown, text.New("%s could not be looked at: %v", what, err), text.New("ask for the right to get and list it, or let somebody look who has it"))
}

func decidePods(c Cluster) (all []Finding) {
	if c.PodsErr != nil {
		return []Finding{unseen(text.New("the pods"), c.PodsErr)}
	}
	ready := slices.ContainsFunc(c.Pods, PodReady)
	for _, pod := range c.Pods {
		if problem := PodProblem(pod); !problem.IsZero() && pod.DeletionTimestamp == nil {
			level := Refuses
			if ready {
				level = Risk
			}
			all = append(all, inCluster(CausePod, level, text.New("pod %s does not serve: %s", pod.Name, problem), text.New("see kubectl -n %s describe pod %s", pod.Namespace, pod.Name)))
		}
	}
	return all
}

func decideIngresses(f Facts, c Cluster) (all []Finding) {
	if c.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureHTTPRoute || c.Endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	annotations := map[string]string{}
	if c.Endpoint.Spec.URL.Ingress != nil {
		for key, value := range c.Endpoint.Spec.URL.Ingress.Annotations {
			annotations[key] = string(value)
		}
	}
	for _, ingress := range c.Ingresses {
		if !ofEndpoint(ingress, c.Endpoint) {
			if claims(ingress, f.Host, c.Endpoint.Spec.URL.Path) {
				all = append(all, inCluster(CauseIngressOther, Refuses, text.New("Ingress %s/%s has the same host and path: which of the two answers is the ingress controller's to choose", ingress.Namespace, ingress.Name),
					text.New("remove that path from Ingress %s/%s, or choose another url.path", ingress.Namespace, ingress.Name)))
			}
			continue
		}
		for key, value := range ingress.Annotations {
			annotations[key] = value
		}
	}
	if c.IngressesErr != nil {
		all = append(all, unseen(text.New("the Ingresses"), c.IngressesErr))
	}
	return append(all, decideAnnotations(annotations, f.Secure)...)
}

func ofEndpoint(ingress networkingv1.Ingress, endpoint *v1alpha1.WeChatEndpoint) bool {
	return ingress.Namespace == endpoint.Namespace && slices.ContainsFunc(ingress.OwnerReferences, func(owner metav1.OwnerReference) bool {
		return owner.Kind == "WeChatEndpoint" && owner.Name == endpoint.Name
	})
}

// claims reports whether an Ingress has the very path. A rule for all of a host is no conflict: the longer path wins.
func claims(ingress networkingv1.Ingress, host, path string) bool {
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil || rule.Host != host {
			continue
		}
		if slices.ContainsFunc(rule.HTTP.Paths, func(p networkingv1.HTTPIngressPath) bool { return strings.TrimSuffix(p.Path, "/") == path }) {
			return true
		}
	}
	return false
}

// Annotations of ingress controllers, by the end of their keys (behind nginx.ingress.kubernetes.io, haproxy.org, alb.ingress.kubernetes.io …).
var (
	ipListAnnotations   = []string{"/whitelist-source-range", "/allowlist-source-range", "/denylist-source-range", "/whitelist", "/allow-list", "/deny-list", "/inbound-cidrs", "/server-snippet", "/configuration-snippet"}
	authAnnotations     = []string{"/auth-url", "/auth-type", "/auth-signin", "/auth-tls-secret", "/auth-secret"}
	redirectAnnotations = []string{"/permanent-redirect", "/temporal-redirect", "/app-root", "/from-to-www-redirect", "/request-redirect"}
	secureAnnotations   = []string{"/force-ssl-redirect", "/ssl-redirect"}
)

func decideAnnotations(annotations map[string]string, secure bool) (all []Finding) {
	for key, value := range annotations {
		ends := func(of []string) bool {
			return value != "" && value != "false" && slices.ContainsFunc(of, func(end string) bool { return strings.HasSuffix(key, end) })
		}
		switch {
		case ends(ipListAnnotations):
			all = append(all, inCluster(CauseIPList, Risk, text.New("the Ingress may let only some addresses through (%s)", key),
				text.New("take the list away, or keep WeChat's addresses in it: they change, and getcallbackip of the platform's API tells them every day")))
		case ends(authAnnotations):
			all = append(all, inCluster(CauseIngressAuth, Refuses, text.New("the Ingress asks for a login (%s), which WeChat cannot give", key), text.New("remove the annotation")))
		case ends(redirectAnnotations):
			all = append(all, inCluster(CauseIngressMoves, Refuses, text.New("the Ingress redirects (%s), and WeChat follows no redirect", key), text.New("remove the annotation")))
		case ends(secureAnnotations) && !secure:
			all = append(all, inCluster(CauseIngressMoves, Refuses, text.New("the Ingress redirects http to https (%s), and WeChat follows no redirect", key),
				text.New("remove the annotation, or give the endpoint a certificate and enter its https URL in the console")))
		}
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return strings.Compare(a.Text.String(), b.Text.String()) })
	return all
}

// decideCertificate judges the certificate that the Ingress is to serve.
func decideCertificate(f Facts, c Cluster) []Finding {
	ingress := c.Endpoint.Spec.URL.Ingress
	if ingress == nil || ingress.TLSSecretName == "" {
		return nil
	}
	name := c.Endpoint.Namespace + "/" + ingress.TLSSecretName
	switch {
	case c.CertificateErr != nil:
		return []Finding{unseen(text.New("Secret %s", name), c.CertificateErr)}
	case c.Certificate == nil:
		return []Finding{inCluster(CauseTLSSecret, Refuses, text.New("there is no Secret %s with the certificate", name), text.New("make it, as cert-manager does, or correct url.ingress.tlsSecretName"))}
	}
	pair, err := tls.X509KeyPair(c.Certificate.Data["tls.crt"], c.Certificate.Data["tls.key"])
	if err != nil {
		return []Finding{inCluster(CauseTLSSecret, Refuses, text.New("the Secret %s holds no certificate with its key", name), text.New("put the chain into tls.crt and the key that belongs to it into tls.key, both in PEM"))}
	}
	return decidePair(f, name, pair)
}

func decidePair(f Facts, name string, pair tls.Certificate) (all []Finding) {
	leaf := pair.Leaf
	if err := leaf.VerifyHostname(f.Host); err != nil && f.Host != "" {
		all = append(all, inCluster(CauseTLSSecretName, Refuses, text.New("the certificate in Secret %s is for %s, and the host is %s", name, namesOf(leaf), f.Host), text.New("get one for the host")))
	}
	switch left := leaf.NotAfter.Sub(f.Now); {
	case left < 0:
		all = append(all, inCluster(CauseTLSSecretEnded, Refuses, text.New("the certificate in Secret %s ended at %s", name, leaf.NotAfter.UTC().Format(time.RFC3339)), text.New("renew it, and see why nothing does so by itself")))
	case left < soon:
		all = append(all, inCluster(CauseExpiresSoon, Risk, text.New("the certificate in Secret %s ends at %s", name, leaf.NotAfter.UTC().Format(time.RFC3339)), text.New("renew it, and see why nothing does so by itself")))
	}
	switch {
	case selfSigned(leaf):
		all = append(all, inCluster(CauseSelfSigned, Refuses, text.New("the certificate in Secret %s signs itself", name), text.New("use a certificate of a public authority")))
	case len(pair.Certificate) == 1:
		all = append(all, inCluster(CauseChain, Refuses, text.New("the Secret %s holds the server's certificate alone, without the intermediate ones", name),
			text.New("put the whole chain into the Secret (tls.crt): the server's certificate first, then the intermediate ones (fullchain.pem)")))
	}
	return all
}

func namesOf(certificate *x509.Certificate) string {
	names := certificate.DNSNames
	if len(names) == 0 {
		names = []string{certificate.Subject.CommonName}
	}
	if len(names) > 4 {
		names = append(names[:4:4], fmt.Sprintf("+%d", len(certificate.DNSNames)-4))
	}
	return readable(strings.Join(names, ", "))
}
