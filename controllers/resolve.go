// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// accept says why the spec is not allowed here, in words for its author.
func (r *Reconciler) accept(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.URL.Host == "" && endpoint.Spec.URL.Exposure == v1alpha1.ExposureIngress && !r.Options.AllowEmptyHost {
		return refs.Waitf(v1alpha1.ReasonHostRequired,
			"url.host is left out, which would answer on every host of the cluster: set url.host, or ask the platform team to install the operator with allowEmptyHost")
	}
	if key := r.forbiddenAnnotation(endpoint); key != "" {
		return refs.Waitf(v1alpha1.ReasonAnnotationNotAllowed,
			"url.ingress.annotations: %s is not allowed here: remove it, or ask the platform team to add it to allowedIngressAnnotations", key)
	}
	return r.checkClaim(ctx, endpoint)
}

func (r *Reconciler) forbiddenAnnotation(endpoint *v1alpha1.WeChatEndpoint) string {
	if endpoint.Spec.URL.Ingress == nil {
		return ""
	}
	for _, key := range slices.Sorted(maps.Keys(endpoint.Spec.URL.Ingress.Annotations)) {
		if !slices.Contains(r.Options.AllowedIngressAnnotations, key) {
			return key
		}
	}
	return ""
}

// checkClaim refuses an endpoint whose host and path another one holds: the one whose route is published, and among
// unpublished ones the older.
func (r *Reconciler) checkClaim(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.URL.Exposure == v1alpha1.ExposureNone {
		return nil
	}
	var others v1alpha1.WeChatEndpointList
	if err := r.List(ctx, &others, client.MatchingFields{indexHost: endpoint.Spec.URL.Host}); err != nil {
		return fmt.Errorf("listing the endpoints of the host: %w", err)
	}
	for i := range others.Items {
		other := &others.Items[i]
		if other.UID == endpoint.UID || !sameClaim(other, endpoint) || !precedes(other, endpoint) {
			continue
		}
		holder := "an endpoint in another namespace"
		if other.Namespace == endpoint.Namespace {
			holder = "WeChatEndpoint " + other.Name
		}
		return refs.Waitf(v1alpha1.ReasonURLConflict, "%s%s is held by %s: choose another host or path, or delete the other endpoint",
			endpoint.Spec.URL.Host, endpoint.Spec.URL.Path, holder)
	}
	return nil
}

func sameClaim(a, b *v1alpha1.WeChatEndpoint) bool {
	return a.DeletionTimestamp.IsZero() && a.Spec.URL.Exposure != v1alpha1.ExposureNone && a.Spec.URL.Path == b.Spec.URL.Path
}

// precedes reports whether a holds a claim rather than b.
func precedes(a, b *v1alpha1.WeChatEndpoint) bool {
	if aPublished := published(a); aPublished != published(b) {
		return aPublished
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) < 0
}

// published reports whether an Ingress leads from the claim to the endpoint. A status that speaks of another URL, or of
// none that is published, is that of an earlier spec: it lends no right to the new claim.
func published(e *v1alpha1.WeChatEndpoint) bool {
	route := apimeta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionRouteProgrammed)
	_, claim, _ := strings.Cut(e.Status.URL, "://")
	return route != nil && route.Status == metav1.ConditionTrue && route.Reason == v1alpha1.ReasonRouteProgrammed &&
		claim == shownHost(e)+e.Spec.URL.Path
}

// credentials are what the sidecar was last given.
type credentials struct {
	generation string // of both files; empty before the first
	newest     config.Pair
}

// currentCredentials reads the Secret that the operator made. One that cannot be read, or is not ours, counts as none: it
// will be written again, or reported when it is applied.
func (r *Reconciler) currentCredentials(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (credentials, error) {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}
	if err := r.Get(ctx, key, &secret); client.IgnoreNotFound(err) != nil {
		return credentials{}, fmt.Errorf("reading Secret %s: %w", key.Name, err)
	}
	parsed, err := config.ParseCredentials(secret.Data[config.CredentialsFile])
	if err != nil || !metav1.IsControlledBy(&secret, endpoint) {
		return credentials{}, nil
	}
	return credentials{generation: parsed.Generation, newest: parsed.Pairs[0]}, nil
}

// resolveCredentials reads the user's token and counts its changes. The count goes on where the status left it if the
// operator's own Secret was lost.
func (r *Reconciler) resolveCredentials(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, current credentials, input *render.Input) error {
	token, err := refs.Token(ctx, r, endpoint)
	if err != nil {
		return err
	}
	input.Token, input.Counter = token, current.newest.Generation
	switch {
	case current.newest.Token == "":
		input.Counter = endpoint.Status.Credentials.Generation + 1
	case current.newest.Token != token:
		input.Counter++
	}
	return nil
}

func (r *Reconciler) resolveBackend(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input *render.Input) (err error) {
	input.BackendURL, err = refs.BackendURL(ctx, r, endpoint)
	return err
}
