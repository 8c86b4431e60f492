// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
)

// An installation for some namespaces has Roles in these and no right beyond them. It must not even ask for what is elsewhere
// or belongs to the whole cluster: a watch that is refused keeps the operator from starting.

// ParseNamespaces reads a list of namespaces, separated by commas. An empty text is nil: the whole cluster.
func ParseNamespaces(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	namespaces := strings.Split(text, ",")
	for i, namespace := range namespaces {
		if problems := validation.IsDNS1123Label(namespace); len(problems) > 0 {
			return nil, fmt.Errorf("%q is not the name of a namespace to watch: list them as team-a,team-b", namespace)
		}
		if slices.Contains(namespaces[:i], namespace) {
			return nil, fmt.Errorf("namespace %s is listed twice among those to watch", namespace)
		}
	}
	return namespaces, nil
}

// cachedNamespaces are those for the cache; nil is every one.
func cachedNamespaces(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	configs := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		configs[namespace] = cache.Config{}
	}
	return configs
}

// seesCluster reports whether this installation may read what belongs to no namespace.
func (r *Reconciler) seesCluster() bool { return len(r.Options.Namespaces) == 0 }

// sees reports whether this installation may look into the namespace.
func (r *Reconciler) sees(namespace string) bool {
	return r.seesCluster() || slices.Contains(r.Options.Namespaces, namespace)
}

// checkSeen refuses a Service in a namespace that this installation may not look into: neither the Service nor a grant could be
// read.
func (r *Reconciler) checkSeen(field string, service v1alpha1.ServiceReference) error {
	if service.Namespace == "" || r.sees(service.Namespace) {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonReferenceNotGranted,
		"%s.service.namespace is %s, which this installation of the operator does not see: name a Service of the endpoint's own namespace, or ask the platform team to add %s to watchNamespaces",
		field, service.Namespace, service.Namespace)
}

// checkClassExists looks for the class of the endpoint's Ingress. Where classes cannot be seen, it must be named: the default one
// is not known then.
func (r *Reconciler) checkClassExists(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if r.seesCluster() {
		return refs.IngressClass(ctx, r, endpoint)
	}
	if tuning := endpoint.Spec.URL.Ingress; tuning != nil && tuning.ClassName != "" {
		return nil
	}
	return refs.Waitf(v1alpha1.ReasonIngressClassNotFound,
		"this installation sees no IngressClasses, so that it does not know the cluster's default one: set url.ingress.className, which the platform team can tell")
}

// limitClaim says of a route that is programmed what was not looked at.
func (r *Reconciler) limitClaim(endpoint *v1alpha1.WeChatEndpoint) {
	if r.seesCluster() || endpoint.Spec.URL.Exposure != v1alpha1.ExposureIngress {
		return
	}
	set(endpoint, v1alpha1.ConditionRouteProgrammed, metav1.ConditionTrue, v1alpha1.ReasonRouteProgrammed,
		"Ingress "+render.Name(endpoint)+" is applied; the class was not looked up: this installation sees no IngressClasses")
}
