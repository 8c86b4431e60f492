// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// operated is a cluster whose operator counts up when a Secret is written, unless it is asleep.
func operated(t *testing.T, asleep bool, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.WeChatEndpoint{}).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			err := c.Patch(ctx, object, patch, options...)
			if _, secret := object.(*corev1.Secret); err != nil || !secret || asleep {
				return err
			}
			var endpoints v1alpha1.WeChatEndpointList
			if err := c.List(ctx, &endpoints); err != nil {
				return err
			}
			for i := range endpoints.Items {
				status := &endpoints.Items[i].Status
				status.Credentials.Generation++
				meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSidecarAvailable, Status: metav1.ConditionTrue, Reason: "a"})
				if err := c.Status().Update(ctx, &endpoints.Items[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}).Build()
}

func connectTo(c client.Client) Connect {
	return func(string, string) (client.Client, string, error) { return c, "shop", nil }
}

func TestRotateMakesValuesThatTheConsoleTakes(t *testing.T) {
	plain, sealed := demo(), demo()
	sealed.Spec.MessageMode = v1alpha1.MessageModeEncrypted
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		key      bool
	}{"in plaintext mode": {plain, false}, "in an encrypted mode": {sealed, true}} {
		t.Run(name, func(t *testing.T) {
			c := operated(t, false, test.endpoint.DeepCopy(), secret(token))
			result := run(t, connectTo(c), "", "rotate", "demo")
			result.check(t, StatusOK, "every sidecar of demo accepts generation 1", "press Save (提交)", "get secret")
			var now corev1.Secret
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret(token)), &now); err != nil {
				t.Fatal(err)
			}
			newToken, newKey := string(now.Data["token"]), string(now.Data["encodingAESKey"])
			if newToken == token || config.ValidateToken(newToken) != nil || len(newToken) != 32 {
				t.Errorf("the new token has %d characters", len(newToken))
			}
			if test.key != (newKey != "") || test.key && config.ValidateEncodingAESKey(newKey) != nil {
				t.Errorf("the new key has %d characters", len(newKey))
			}
			if strings.Contains(result.out+result.errout, newToken) || test.key && strings.Contains(result.out+result.errout, newKey) {
				t.Error("a value is printed that nobody asked for")
			}
		})
	}
}

func TestRotateShowsTheValuesToWhoAsks(t *testing.T) {
	c := operated(t, false, demo(), secret(token))
	result := run(t, connectTo(c), "", "rotate", "demo", "--show")
	shown := regexp.MustCompile(`Token: ([A-Za-z0-9]{32})\n`).FindStringSubmatch(result.out)
	var now corev1.Secret
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret(token)), &now); err != nil || shown == nil || shown[1] != string(now.Data["token"]) {
		t.Errorf("%v: shown is another token than the Secret's: %v", err, shown != nil)
	}
}

func TestRotateChangesAllThatShareTheSecret(t *testing.T) {
	other, foreign := demo(), demo()
	other.Name, foreign.Name = "data", "elsewhere"
	other.Spec.MessageMode = v1alpha1.MessageModeEncrypted
	foreign.Spec.Credentials.SecretName = "another"
	c := operated(t, false, demo(), other, foreign, secret(token))
	result := run(t, connectTo(c), "", "rotate", "demo")
	result.check(t, StatusOK, "of data, demo\n", "every sidecar of data", "every sidecar of demo", "EncodingAESKey: what this prints")
	if strings.Contains(result.out, "elsewhere") {
		t.Error("it waits for an endpoint of another Secret")
	}
}

func TestRotateRevokesWhatLeaked(t *testing.T) {
	for answer, test := range map[string]struct {
		flags   []string
		status  int
		revoked int64
	}{
		"y\n": {[]string{"--compromised"}, StatusOK, 1},
		"n\n": {[]string{"--compromised"}, StatusRefused, 0},
		"":    {[]string{"--compromised"}, StatusRefused, 0},
		"no":  {[]string{"--compromised", "--yes"}, StatusOK, 1},
	} {
		c := operated(t, false, demo(), secret(token))
		run(t, connectTo(c), answer, append([]string{"rotate", "demo"}, test.flags...)...).check(t, test.status)
		endpoint := demo()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil || endpoint.Spec.Credentials.RevokeBefore != test.revoked {
			t.Errorf("answered %q, revokeBefore is %d, want %d (%v)", answer, endpoint.Spec.Credentials.RevokeBefore, test.revoked, err)
		}
	}
}

func TestRotateSaysWhyNot(t *testing.T) {
	pay := demo()
	pay.Spec.Platform = v1alpha1.PlatformPay
	run(t, cluster(t, pay, secret(token)), "", "rotate", "demo").check(t, StatusUsage, "merchant platform")
	run(t, cluster(t, demo()), "", "rotate", "demo").check(t, StatusUsage, "reading Secret shop/")
	run(t, noCluster(t), "", "rotate").check(t, StatusUsage, "name an endpoint")
	result := run(t, connectTo(operated(t, true, demo(), secret(token))), "", "rotate", "demo", "--timeout", "1ms")
	result.check(t, StatusUsage, "do not press Save", "is the operator running?")
	if strings.Contains(result.out, "enter") {
		t.Error("it says what to enter before it is served")
	}
}

func TestRandomTextIsOfLettersAndDigits(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		text := alphanumeric(43)
		if !regexp.MustCompile(`^[A-Za-z0-9]{43}$`).MatchString(text) || seen[text] {
			t.Fatalf("made %d characters, or the same twice", len(text))
		}
		seen[text] = true
	}
}
