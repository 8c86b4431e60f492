// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	"github.com/wechatendpoint/wechatendpoint/cmd/operator/internal/guard"
)

// Tokens of the API server of these tests.
const (
	reader   = "token-of-a-reader"
	stranger = "token-of-somebody-without-the-right"
)

// apiServer answers reviews, and counts them.
type apiServer struct {
	broken  bool // answers no review
	revoked bool // the reader lost the right
	reviews []string
	user    authorizationv1.SubjectAccessReviewSpec // of the last SubjectAccessReview
}

func (a *apiServer) guard(now func() time.Time) *guard.Guard {
	clients := fake.NewClientset()
	clients.PrependReactor("create", "tokenreviews", func(action kubetesting.Action) (bool, runtime.Object, error) {
		a.reviews = append(a.reviews, "token")
		review := action.(kubetesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		if a.broken {
			return true, nil, errors.New("the API server is broken")
		}
		switch review.Spec.Token {
		case reader, stranger:
			review.Status.Authenticated = true
			review.Status.User = authenticationv1.UserInfo{
				Username: review.Spec.Token, UID: "1", Groups: []string{"readers"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"a", "b"}},
			}
		default:
			review.Status.Error = "no such token"
		}
		return true, review, nil
	})
	clients.PrependReactor("create", "subjectaccessreviews", func(action kubetesting.Action) (bool, runtime.Object, error) {
		a.reviews = append(a.reviews, "access")
		review := action.(kubetesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		a.user = review.Spec
		asked := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == reader && asked.Verb == "get" && asked.Path == "/metrics" && !a.revoked
		return true, review, nil
	})
	return guard.New(clients.AuthenticationV1().TokenReviews(), clients.AuthorizationV1().SubjectAccessReviews(), now)
}

// page is what is guarded.
type page struct {
	http.Handler
	log strings.Builder
}

func (a *apiServer) page(t *testing.T, now func() time.Time) *page {
	t.Helper()
	p := &page{}
	log := funcr.New(func(prefix, args string) { p.log.WriteString(prefix + args + "\n") }, funcr.Options{})
	var err error
	p.Handler, err = a.guard(now).Wrap(log, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the page") }))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// get asks for the page, and returns the status. No page may leave without a 200.
func (p *page) get(t *testing.T, method, path, authorization string) int {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response := httptest.NewRecorder()
	p.ServeHTTP(response, request)
	if shown := strings.Contains(response.Body.String(), "the page"); shown != (response.Code == http.StatusOK) {
		t.Errorf("the status is %d, and the page was shown: %v", response.Code, shown)
	}
	return response.Code
}

func TestGuard(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, authorization string
		broken                      bool
		want                        int
		reviews                     []string
	}{
		"a reader may read":                            {authorization: "Bearer " + reader, want: 200, reviews: []string{"token", "access"}},
		"the scheme is written in any case":            {authorization: "bearer " + reader, want: 200, reviews: []string{"token", "access"}},
		"without a token nobody is asked":              {want: 401},
		"an empty token is none":                       {authorization: "Bearer ", want: 401},
		"another scheme is no token":                   {authorization: "Basic " + reader, want: 401},
		"a token of any length is not passed on":       {authorization: "Bearer " + strings.Repeat("a", 8<<10+1), want: 401},
		"the longest token is asked about":             {authorization: "Bearer " + strings.Repeat("a", 8<<10), want: 401, reviews: []string{"token"}},
		"an unknown token is refused":                  {authorization: "Bearer made-up", want: 401, reviews: []string{"token"}},
		"a user without the right is refused":          {authorization: "Bearer " + stranger, want: 403, reviews: []string{"token", "access"}},
		"the right is for one path":                    {path: "/metrics/", authorization: "Bearer " + reader, want: 403, reviews: []string{"token", "access"}},
		"the right is for one verb":                    {method: http.MethodPost, authorization: "Bearer " + reader, want: 403, reviews: []string{"token", "access"}},
		"an API server that does not answer is no yes": {authorization: "Bearer " + reader, broken: true, want: 503, reviews: []string{"token"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &apiServer{broken: test.broken}
			p := a.page(t, time.Now)
			path, method := test.path, test.method
			if path == "" {
				path = "/metrics"
			}
			if method == "" {
				method = http.MethodGet
			}
			if got := p.get(t, method, path, test.authorization); got != test.want {
				t.Errorf("the status is %d and not %d", got, test.want)
			}
			if diff := cmp.Diff(test.reviews, a.reviews); diff != "" {
				t.Errorf("reviews -want +got:\n%s", diff)
			}
			if strings.Contains(p.log.String(), reader) || test.broken == (p.log.Len() == 0) {
				t.Errorf("the log is %q", p.log.String())
			}
		})
	}
}

func TestGuardPassesOnWhoTheUserIs(t *testing.T) {
	a := &apiServer{}
	a.page(t, time.Now).get(t, http.MethodGet, "/metrics", "Bearer "+stranger)
	want := authorizationv1.SubjectAccessReviewSpec{
		User: stranger, UID: "1", Groups: []string{"readers"}, Extra: map[string]authorizationv1.ExtraValue{"pod": {"a", "b"}},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/metrics"},
	}
	if diff := cmp.Diff(want, a.user); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestGuardRemembersOnlyWhoMayRead(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := &apiServer{}
	p := a.page(t, func() time.Time { return now })
	read := func(authorization string, want, reviews int) {
		t.Helper()
		a.reviews = nil
		if got := p.get(t, http.MethodGet, "/metrics", authorization); got != want || len(a.reviews) != reviews {
			t.Errorf("the status is %d after %d reviews, and not %d after %d", got, len(a.reviews), want, reviews)
		}
	}
	read("Bearer "+reader, 200, 2)
	read("Bearer "+reader, 200, 0)
	read("Bearer "+stranger, 403, 2)
	read("Bearer "+stranger, 403, 2)
	read("Bearer made-up", 401, 1)
	read("Bearer made-up", 401, 1)
	a.revoked = true
	now = now.Add(time.Minute - 1)
	read("Bearer "+reader, 200, 0)
	now = now.Add(1)
	read("Bearer "+reader, 403, 2)
}

func TestGuardAsksTheAPIServerSeldom(t *testing.T) {
	a := &apiServer{}
	late := time.Duration(0)
	p := a.page(t, func() time.Time { return time.Now().Add(late) })
	if got := p.get(t, http.MethodGet, "/metrics", "Bearer "+reader); got != http.StatusOK {
		t.Fatalf("the status is %d", got)
	}
	limited := 0
	for i := range 1000 {
		switch got := p.get(t, http.MethodGet, "/metrics", fmt.Sprintf("Bearer made-up-%d", i)); got {
		case http.StatusUnauthorized:
		case http.StatusTooManyRequests:
			limited++
		default:
			t.Fatalf("the status is %d", got)
		}
	}
	if limited == 0 {
		t.Errorf("strangers made %d reviews", len(a.reviews))
	}
	read := func(when string, want int) {
		t.Helper()
		if got := p.get(t, http.MethodGet, "/metrics", "Bearer "+reader); got != want {
			t.Errorf("beside strangers, %s: the status is %d and not %d", when, got, want)
		}
	}
	read("who was just allowed", http.StatusOK)
	late = 2 * time.Minute
	read("who was allowed some time ago", http.StatusOK)
	late, a.broken = 2*late, true
	read("while nobody answers", http.StatusServiceUnavailable)
	a.broken = false
	read("when somebody answers again", http.StatusOK)
	late, a.revoked = 2*late, true
	read("whose right was taken away", http.StatusForbidden)
	limited = 0
	for range 10 {
		if p.get(t, http.MethodGet, "/metrics", "Bearer "+reader) == http.StatusTooManyRequests {
			limited++
		}
	}
	if limited == 0 {
		t.Error("who was refused is no stranger from then on")
	}
}

func TestGuardBoundsItsMemory(t *testing.T) {
	if got, regular := guard.Remembered(1000); got > 64 || !regular {
		t.Errorf("it remembers %d, the one that comes regularly: %v", got, regular)
	}
}
