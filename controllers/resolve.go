// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/refs"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/render"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/rotation"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// accept says why the spec is not allowed here, in words for its author.
func (r *Reconciler) accept(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) error {
	if endpoint.Spec.URL.Host == "" && endpoint.Spec.URL.Exposure != v1alpha1.ExposureNone && !r.Options.AllowEmptyHost {
		return refs.Waitf(v1alpha1.ReasonHostRequired,
			"url.host is left out, which would answer on every host of the cluster: set url.host, or ask the platform team to install the operator with allowEmptyHost")
	}
	if err := r.checkClass(endpoint); err != nil {
		return err
	}
	if key := r.forbiddenAnnotation(endpoint); key != "" {
		return refs.Waitf(v1alpha1.ReasonAnnotationNotAllowed,
			"url.ingress.annotations: %s is not allowed here: remove it, or ask the platform team to add it to allowedIngressAnnotations", key)
	}
	if err := checkAudit(endpoint, time.Now()); err != nil {
		return err
	}
	return r.checkClaim(ctx, endpoint)
}

// maxAudit is how far ahead an audit may end.
const maxAudit = 14 * 24 * time.Hour

// checkAudit refuses an audit that has ended or that ends too late. The sidecar ends it by itself; what is refused here is
// a spec that does not say what is done.
func checkAudit(endpoint *v1alpha1.WeChatEndpoint, now time.Time) error {
	until := endpoint.Spec.Verification.AuditUntil
	switch {
	case until == nil:
		return nil
	case !until.After(now):
		return refs.Waitf(v1alpha1.ReasonAuditEnded,
			"verification.auditUntil is past, so every check is enforced again: remove auditUntil and set verification.enforcement to Enforce, or set a time within 14 days")
	case until.Sub(now) > maxAudit:
		return refs.Waitf(v1alpha1.ReasonAuditTooLong,
			"verification.auditUntil is more than 14 days ahead: set an earlier time, not after %s", now.Add(maxAudit).UTC().Format(time.DateOnly))
	}
	return nil
}

// untilAuditTurns returns after what time checkAudit will judge otherwise, which no watch tells of. Zero is never.
func untilAuditTurns(endpoint *v1alpha1.WeChatEndpoint, now time.Time) time.Duration {
	until := endpoint.Spec.Verification.AuditUntil
	if until == nil || !until.After(now) {
		return 0
	}
	if ahead := until.Sub(now); ahead <= maxAudit {
		return ahead + time.Second
	}
	return until.Sub(now) - maxAudit + time.Second
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

// served is what the sidecar was last given.
type served struct {
	generation string         // of the document; empty before the first
	config     *config.Config // nil where it cannot be read, or is of a newer operator
	version    int            // of the configuration; zero where there is none
	pairs      []config.Pair  // accepted, newest first
	gatewayKey []byte
}

// readServed reads the document that the operator made. What of it cannot be read, or is not ours, counts as none: it will be
// written again, or reported when it is applied.
func (r *Reconciler) readServed(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) (served, error) {
	var live served
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: render.Name(endpoint)}
	err := r.Get(ctx, key, &secret)
	_, leftOut := note(&secret, noteData)
	if leftOut || apierrors.IsNotFound(err) && endpoint.Status.Credentials.Generation > 0 {
		// Somebody may have taken the label away by which the cache sees it, and the pairs in it are nowhere else.
		err = r.Live.Get(ctx, key, &secret)
	}
	if client.IgnoreNotFound(err) != nil {
		return live, fmt.Errorf("reading Secret %s: %w", key.Name, err)
	}
	if !metav1.IsControlledBy(&secret, endpoint) {
		return live, nil
	}
	document := secret.Data[config.File]
	if live.version, err = config.ReadVersion(document); err != nil {
		live.version = 0
	}
	if parsed, err := config.ParseConfig(document); err == nil {
		if err := r.closeExternal(ctx, &parsed); err != nil {
			return live, err
		}
		live.config = &parsed
	}
	generation, generationErr := config.ReadGeneration(document)
	credentials, err := config.ReadCredentials(document)
	if err != nil || generationErr != nil || !render.IsGeneration(generation) {
		return live, nil
	}
	live.generation, live.pairs, live.gatewayKey = generation, rotation.Genuine(credentials.Pairs), credentials.GatewayKey
	return live, nil
}

// closeExternal lets a configuration that goes on call no Service that is of type ExternalName now: it may have been accepted, and then turned to
// lead verified messages out of the cluster. When it turns back, it is called again.
func (r *Reconciler) closeExternal(ctx context.Context, served *config.Config) error {
	backends := []*config.Backend{&served.Backend}
	for i := range served.Rules {
		if backend := served.Rules[i].Backend; backend != nil {
			backends = append(backends, backend)
		}
	}
	for _, backend := range backends {
		name, ok := refs.Serviced(backend.URL)
		if !ok || !r.sees(name.Namespace) {
			continue
		}
		var service corev1.Service
		if err := r.Get(ctx, name, &service); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading Service %s: %w", name.Name, err)
		}
		backend.URL = refs.Open(backend.URL)
		if service.Spec.Type == corev1.ServiceTypeExternalName {
			backend.URL = refs.Close(backend.URL)
		}
	}
	return nil
}

// resolveCredentials reads the user's values and decides which are accepted beside them. Where the Secret is missing or
// broken, the newest that were served stand in for it: what else was asked for goes on being served with them.
func (r *Reconciler) resolveCredentials(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, live served, input *render.Input) error {
	var wanted config.Pair
	var err error = refs.Waitf(v1alpha1.ReasonWaiting, "the spec cannot be read: first see to Accepted")
	if knowsCredentials(endpoint) {
		wanted, err = refs.Pair(ctx, r, endpoint)
	}
	if err != nil && waitReason(err) == "" {
		return err
	}
	policy := rotationPolicy(endpoint, time.Now())
	if input.Served != nil {
		policy.Encrypted = input.Served.Encrypted()
	}
	if err != nil {
		if input.Pairs = policy.Usable(live.pairs); len(input.Pairs) == 0 {
			return err
		}
		wanted = input.Pairs[0]
	}
	input.Pairs = rotation.Rotate(live.pairs, wanted, policy)
	return err
}

// pausedBehind says that a paused endpoint serves something else than what it asks for now, or returns nil.
func pausedBehind(input render.Input, live served) error {
	if generation, _, err := render.MakeFiles(input); err != nil || generation == live.generation {
		return nil // then another condition says why
	}
	return refs.Waitf(v1alpha1.ReasonPaused, "spec.paused is true, and the spec or the Secret was changed since: the pods go on with what was there before. Set it to false when the operator may work on")
}

// resolveGatewayKey returns the key that the endpoint has, from the sidecar's credentials or else from the Secret that the
// app may mount, so that neither a deletion nor an edit of one of them changes it. Where there is none it makes one.
func (r *Reconciler) resolveGatewayKey(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, live served, input *render.Input) error {
	if input.GatewayKey = live.gatewayKey; input.GatewayKey != nil {
		return nil
	}
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: render.GatewayKeyName(endpoint)}
	if err := r.Get(ctx, key, &secret); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Secret %s: %w", key.Name, err)
	}
	input.GatewayKey = secret.Data[v1alpha1.GatewayKeyKey]
	if !metav1.IsControlledBy(&secret, endpoint) || len(input.GatewayKey) != config.GatewayKeySize {
		input.GatewayKey = make([]byte, config.GatewayKeySize)
		_, _ = rand.Read(input.GatewayKey) // never fails, by its documentation
	}
	return nil
}

func (r *Reconciler) resolveBackend(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint, input *render.Input) (err error) {
	spec := endpoint.Spec
	input.RuleURLs = make([]string, len(spec.Rules)) // whatever fails: what is rendered has one for each rule
	if input.BackendURL, err = r.backendURL(ctx, endpoint.Namespace, "backend", &spec.Backend); err != nil {
		return err
	}
	for i, rule := range spec.Rules {
		if rule.Backend == nil {
			continue
		}
		if input.RuleURLs[i], err = r.backendURL(ctx, endpoint.Namespace, fmt.Sprintf("rules[%d].backend", i), rule.Backend); err != nil {
			return err
		}
	}
	return nil
}

// backendURL returns the URL of an app, without path.
func (r *Reconciler) backendURL(ctx context.Context, namespace, field string, backend *v1alpha1.Backend) (string, error) {
	if err := r.checkSeen(field, backend.Service); err != nil {
		return "", err
	}
	address, err := refs.BackendAddress(ctx, r, r, namespace, field, backend.Service)
	if err != nil || backend.TLS == nil {
		return "http://" + address, err
	}
	if _, err := config.ParseCA(backend.TLS.CABundle); err != nil {
		return "", refs.Waitf(v1alpha1.ReasonTLSMalformed, "%s.tls.caBundle: %v", field, err)
	}
	return "https://" + address, nil
}
