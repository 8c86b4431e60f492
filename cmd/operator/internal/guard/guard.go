// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package guard lets those read a page whom the API server knows and allows to: it asks with a TokenReview and a
// SubjectAccessReview. It is controller-runtime's filters.WithAuthenticationAndAuthorization without k8s.io/apiserver, which would
// add 21 MB to the operator and parsers of much that it never meets.
package guard

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authentication "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorization "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// allowedFor is how long an allowed reader is not asked about again, and so how long a right that was taken away lasts.
	allowedFor = time.Minute
	// maxAllowed bounds the memory for readers that were allowed.
	maxAllowed = 64
	// maxToken is more than any token of a ServiceAccount has, which is 1 to 2 KiB.
	maxToken = 8 << 10
	// reviewTimeout ends a question that the API server does not answer.
	reviewTimeout = 10 * time.Second
	// reviewsPerSecond and reviewBurst bound what strangers can make us ask the API server, and as much again what readers can who
	// were allowed before: strangers must not keep them out.
	reviewsPerSecond, reviewBurst = 5, 20
)

// Guard asks the API server who may read. It is safe for concurrent use.
type Guard struct {
	tokens    authentication.TokenReviewInterface
	access    authorization.SubjectAccessReviewInterface
	strangers flowcontrol.PassiveRateLimiter
	readers   flowcontrol.PassiveRateLimiter
	now       func() time.Time

	mu      sync.Mutex
	allowed map[request]time.Time // until when; who was allowed before stays known, but is asked about again
}

// request is what was allowed: a token, kept as its digest, and what it may do.
type request struct {
	token      [sha256.Size]byte
	verb, path string
}

// New makes a Guard.
func New(tokens authentication.TokenReviewInterface, access authorization.SubjectAccessReviewInterface, now func() time.Time) *Guard {
	return &Guard{
		tokens: tokens, access: access, now: now, allowed: map[request]time.Time{},
		strangers: flowcontrol.NewTokenBucketPassiveRateLimiter(reviewsPerSecond, reviewBurst),
		readers:   flowcontrol.NewTokenBucketPassiveRateLimiter(reviewsPerSecond, reviewBurst),
	}
}

// Filter is a FilterProvider of the metrics server.
func Filter(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	tokens, err := authentication.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making a client for TokenReviews: %w", err)
	}
	access, err := authorization.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("making a client for SubjectAccessReviews: %w", err)
	}
	return New(tokens.TokenReviews(), access.SubjectAccessReviews(), time.Now).Wrap, nil
}

// Wrap puts the guard before a page.
func (g *Guard) Wrap(log logr.Logger, page http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, err := g.check(r)
		if err != nil {
			log.Error(err, "asking who may read "+r.URL.Path)
		}
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		page.ServeHTTP(w, r)
	}), nil
}

// check returns 200 if the request is allowed, and otherwise the status that refuses it. Only what is allowed is remembered: a
// right that was just given counts at once, and strangers fill no memory. Who is refused is a stranger from then on.
func (g *Guard) check(r *http.Request) (int, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > maxToken {
		return http.StatusUnauthorized, nil
	}
	asked := request{token: sha256.Sum256([]byte(token)), verb: strings.ToLower(r.Method), path: r.URL.Path}
	allowed, limiter := g.remembers(asked)
	if allowed {
		return http.StatusOK, nil
	}
	if !limiter.TryAccept() {
		return http.StatusTooManyRequests, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	status, err := g.review(ctx, token, asked)
	switch {
	case err != nil: // says nothing about the reader
	case status == http.StatusOK:
		g.remember(asked)
	default:
		g.forget(asked)
	}
	return status, err
}

// review asks the API server, and returns the status as check does.
func (g *Guard) review(ctx context.Context, token string, asked request) (int, error) {
	user, err := g.authenticate(ctx, token)
	if err != nil || user == nil {
		return unless(err, http.StatusUnauthorized), err
	}
	may, err := g.authorize(ctx, user, asked)
	if err != nil || !may {
		return unless(err, http.StatusForbidden), err
	}
	return http.StatusOK, nil
}

// unless is the status of a refusal: the one of our own trouble, if there was one.
func unless(err error, refusal int) int {
	if err != nil {
		return http.StatusServiceUnavailable
	}
	return refusal
}

// authenticate returns whose token it is, or nil.
func (g *Guard) authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := g.tokens.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("asking whose token it is: %w", err)
	}
	if !review.Status.Authenticated {
		return nil, nil
	}
	return &review.Status.User, nil
}

func (g *Guard) authorize(ctx context.Context, user *authenticationv1.UserInfo, asked request) (bool, error) {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for key, value := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(value)
	}
	review, err := g.access.Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: asked.verb, Path: asked.path},
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("asking what %s may do: %w", user.Username, err)
	}
	return review.Status.Allowed && !review.Status.Denied, nil
}

// remembers reports whether the request is allowed without a question, and whose bucket a question is taken from.
func (g *Guard) remembers(asked request) (bool, flowcontrol.PassiveRateLimiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	until, known := g.allowed[asked]
	if !known {
		return false, g.strangers
	}
	return g.now().Before(until), g.readers
}

// remember takes the place of who was allowed longest ago, such as the token that a reader had before.
func (g *Guard) remember(asked request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, known := g.allowed[asked]; !known && len(g.allowed) >= maxAllowed {
		delete(g.allowed, slices.MinFunc(slices.Collect(maps.Keys(g.allowed)), func(a, b request) int {
			return g.allowed[a].Compare(g.allowed[b])
		}))
	}
	g.allowed[asked] = g.now().Add(allowedFor)
}

func (g *Guard) forget(asked request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.allowed, asked)
}
