//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/caller"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/diagnose"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// TestCallback calls one endpoint in every way that WeChat and others do.
func TestCallback(t *testing.T) {
	t.Parallel()
	s := newStage(t, "callback")
	s.serve(t)

	t.Run("the URL check is answered without the app", func(t *testing.T) {
		before := s.seen(t).Count
		answer, err := s.sender().URLCheck(t.Context())
		if refusal := diagnose.URLCheck(answer, err); refusal != nil {
			t.Error(refusal)
		}
		if got := answer.Header.Get("Content-Length"); got != strconv.Itoa(len(answer.Echostr)) {
			t.Errorf("Content-Length is %q for %q", got, answer.Echostr)
		}
		s.sawNothingSince(t, before)
	})
	t.Run("so is that of the URL with a trailing slash", func(t *testing.T) {
		if refusal := diagnose.URLCheck(s.sender().URLCheck(t.Context(), wechattest.WithPath("/weixin/"))); refusal != nil {
			t.Error(refusal)
		}
	})
	t.Run("a message reaches the app byte for byte, and its reply the user", func(t *testing.T) {
		before := s.seen(t)
		request := s.text(t, "你好 <&> ]]>")
		s.replies(t, request, "你好 <&> ]]>")
		after := s.seen(t)
		if after.Count != before.Count+1 {
			t.Fatalf("the app saw %d messages, not one", after.Count-before.Count)
		}
		last := after.Messages[len(after.Messages)-1]
		if last.Body != string(request.Body) {
			t.Errorf("the app got %q, sent was %q", last.Body, request.Body)
		}
		if last.Path != "/weixin/" {
			t.Errorf("the app was called on %s, not on backend.path", last.Path)
		}
		for name, want := range map[string]string{
			"X-Wechat-Verified": "true", "X-Wechat-Endpoint": s.namespace + "/" + endpointName,
			"X-Wechat-Platform": "OfficialAccount", "X-Wechat-App-Id": "wx5823bf96d3bd56c7",
		} {
			if got := last.Headers[name]; got != want {
				t.Errorf("%s is %q, not %q", name, got, want)
			}
		}
		if got := last.Headers["X-Wechat-Delivery-Id"]; len(got) != 32 {
			t.Errorf("X-WeChat-Delivery-Id is %q", got)
		}
	})
	t.Run("headers of the client's cannot pass for the sidecar's", func(t *testing.T) {
		request := s.text(t, "with headers", wechattest.WithHeader("X-WeChat-Endpoint", "others/shop"), wechattest.WithHeader("X-WeChat-Admin", "true"))
		s.replies(t, request, "with headers")
		diary := s.seen(t)
		headers := diary.Messages[len(diary.Messages)-1].Headers
		if headers["X-Wechat-Endpoint"] != s.namespace+"/"+endpointName || headers["X-Wechat-Admin"] != "" {
			t.Errorf("the app got %v", headers)
		}
	})
	t.Run("a repeat of WeChat's gets the same reply, and the app does not see it", func(t *testing.T) {
		request := s.text(t, "twice")
		s.replies(t, request, "twice")
		seen := len(s.seen(t).Messages)
		s.replies(t, request, "twice")
		if got := len(s.seen(t).Messages); got != seen {
			t.Errorf("the app saw %d messages after the repeat, and %d before", got, seen)
		}
	})
	t.Run("a forged signature is refused", func(t *testing.T) {
		s.refused(t, s.text(t, "forged", wechattest.WithToken("GuessedToken")), http.StatusForbidden)
		s.refused(t, s.text(t, "forged", wechattest.WithSignature(strings.Repeat("0", 40))), http.StatusForbidden)
		s.refused(t, s.text(t, "unsigned", wechattest.WithoutParameter("signature")), http.StatusForbidden)
	})
	t.Run("a URL check with a forged signature is not echoed", func(t *testing.T) {
		request, err := s.sender().NewURLCheck(wechattest.WithToken("GuessedToken"))
		if err != nil {
			t.Fatal(err)
		}
		s.refused(t, request, http.StatusForbidden)
	})
	t.Run("another body with a used query is refused", func(t *testing.T) {
		genuine := s.text(t, "genuine")
		s.replies(t, genuine, "genuine")
		s.refused(t, genuine.WithBody(caller.TextMessage(caller.DefaultAccount, openID, "another", "1", time.Now())), http.StatusForbidden)
		s.replies(t, genuine, "genuine")
	})
	t.Run("the query of a URL check is good for no message", func(t *testing.T) {
		check, err := s.sender().NewURLCheck()
		if err != nil {
			t.Fatal(err)
		}
		if refusal := diagnose.URLCheck(s.sender().Send(t.Context(), check)); refusal != nil {
			t.Fatal(refusal)
		}
		message := s.text(t, "with the query of a URL check")
		message.Query = check.Query
		s.refused(t, message, http.StatusForbidden)
	})
	t.Run("a stale timestamp is refused, before now and after", func(t *testing.T) {
		s.refused(t, s.text(t, "stale", wechattest.WithTime(time.Now().Add(-6*time.Minute))), http.StatusForbidden)
		s.refused(t, s.text(t, "early", wechattest.WithTime(time.Now().Add(6*time.Minute))), http.StatusForbidden)
		s.replies(t, s.text(t, "in time", wechattest.WithTime(time.Now().Add(-4*time.Minute))), "in time")
	})
	t.Run("another path is not found", func(t *testing.T) {
		// Not /weixin//, which Traefik cleans to /weixin/ before it routes.
		for _, path := range []string{"/", "/weixin/more", "/weixin2", "/WEIXIN", "/seen", "/behave"} {
			s.refused(t, s.text(t, "hello", wechattest.WithPath(path)), http.StatusNotFound)
		}
	})
	t.Run("another host is not found", func(t *testing.T) {
		s.refused(t, s.text(t, "hello", wechattest.WithHost("other."+s.host)), http.StatusNotFound)
	})
	t.Run("the second port is not published", func(t *testing.T) {
		for _, path := range []string{"/metrics", "/status", "/healthz", "/readyz"} {
			check, err := s.sender().NewURLCheck(wechattest.WithPath(path))
			if err != nil {
				t.Fatal(err)
			}
			s.refused(t, check, http.StatusNotFound)
		}
		var service corev1.Service
		if err := kube.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: childName}, &service); err != nil {
			t.Fatal(err)
		}
		for _, port := range service.Spec.Ports {
			if port.Port != 80 || port.TargetPort.IntValue() == 8081 || port.TargetPort.StrVal == "ops" {
				t.Errorf("the Service has port %d, which leads to %s", port.Port, port.TargetPort.String())
			}
		}
		for _, metrics := range s.ops(t, "metrics") {
			if !strings.Contains(metrics, "wechat_sidecar_refused_total") || strings.Contains(metrics, s.token) {
				t.Error("the pod's own metrics lack the refusals, or hold the token")
			}
		}
	})
}

// text makes a signed message.
func (s *stage) text(t *testing.T, content string, mutations ...caller.Mutation) *caller.Request {
	t.Helper()
	request, err := s.sender().NewText(openID, content, mutations...)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// replies sends a message once, and wants the app's reply to it.
func (s *stage) replies(t *testing.T, request *caller.Request, content string) {
	t.Helper()
	reply, refusal := diagnose.Message(s.sender().Send(t.Context(), request))
	if refusal != nil {
		t.Errorf("%q: %v", content, refusal)
	} else if want := "you said: " + content; reply.Content != want || reply.To != openID {
		t.Errorf("the reply to %q is %+v", content, reply)
	}
}

// refused sends a request, and wants this status, an empty body where the sidecar answers, and nothing at the app.
func (s *stage) refused(t *testing.T, request *caller.Request, status int) {
	t.Helper()
	before := s.seen(t).Count
	answer, err := s.sender().Send(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != status || status == http.StatusForbidden && len(answer.Body) > 0 {
		t.Errorf("%s %s was answered with %d and %q, want %d and nothing", request.Method, request.Path, answer.Status, answer.Body, status)
	}
	s.sawNothingSince(t, before)
}

func (s *stage) sawNothingSince(t *testing.T, before int) {
	t.Helper()
	if after := s.seen(t).Count; after != before {
		t.Errorf("the app saw %d messages more", after-before)
	}
}
