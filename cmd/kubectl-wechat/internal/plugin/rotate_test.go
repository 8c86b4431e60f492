// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// operator is what an operator makes of an endpoint after something was written: its Secret, or else its spec.
type operator func(endpoint *v1alpha1.WeChatEndpoint, renewed bool)

// awake serves what was asked for, at once.
func awake(e *v1alpha1.WeChatEndpoint, renewed bool) {
	credentials := &e.Status.Credentials
	if renewed {
		credentials.Generation++
		credentials.Accepted = append([]v1alpha1.AcceptedCredentials{{Generation: credentials.Generation}}, credentials.Accepted...)
	}
	credentials.Accepted = slices.DeleteFunc(credentials.Accepted, func(a v1alpha1.AcceptedCredentials) bool {
		return a.Generation < min(e.Spec.Credentials.RevokeBefore, credentials.Generation)
	})
	says(e, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, "")
}

func asleep(*v1alpha1.WeChatEndpoint, bool) {}

// says puts a condition of the newest spec into the status.
func says(e *v1alpha1.WeChatEndpoint, condition string, status metav1.ConditionStatus, message string) {
	e.Status.ObservedGeneration = e.Generation
	meta.SetStatusCondition(&e.Status.Conditions, metav1.Condition{Type: condition, Status: status, Reason: "a", Message: message, ObservedGeneration: e.Generation})
}

// servedDemo is an endpoint whose sidecars have served its first credentials for long.
func servedDemo(change ...func(*v1alpha1.WeChatEndpoint)) *v1alpha1.WeChatEndpoint {
	return demo(append([]func(*v1alpha1.WeChatEndpoint){func(e *v1alpha1.WeChatEndpoint) {
		e.Generation = 3
		awake(e, true)
		says(e, v1alpha1.ConditionAccepted, metav1.ConditionTrue, "")
	}}, change...)...)
}

// operated is a cluster with an operator. Like an API server, it counts the changes of a spec.
func operated(t *testing.T, operator operator, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.WeChatEndpoint{}).WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, object client.Object, patch client.Patch, options ...client.PatchOption) error {
			if err := c.Patch(ctx, object, patch, options...); err != nil {
				return err
			}
			_, renewed := object.(*corev1.Secret)
			if !renewed {
				object.SetGeneration(object.GetGeneration() + 1)
				if err := c.Update(ctx, object); err != nil {
					return err
				}
			}
			var endpoints v1alpha1.WeChatEndpointList
			if err := c.List(ctx, &endpoints); err != nil {
				return err
			}
			for i := range endpoints.Items {
				operator(&endpoints.Items[i], renewed)
				if err := c.Status().Update(ctx, &endpoints.Items[i]); err != nil {
					return err
				}
			}
			return nil
		},
	}).Build()
}

func connectTo(c client.Client) Connect {
	return func(*genericclioptions.ConfigFlags) (client.Client, string, error) { return c, "shop", nil }
}

func TestRotateMakesValuesThatTheConsoleTakes(t *testing.T) {
	plain, sealed := demo(), demo()
	sealed.Spec.MessageMode = v1alpha1.MessageModeEncrypted
	for name, test := range map[string]struct {
		endpoint *v1alpha1.WeChatEndpoint
		key      bool
	}{"in plaintext mode": {plain, false}, "in an encrypted mode": {sealed, true}} {
		t.Run(name, func(t *testing.T) {
			c := operated(t, awake, test.endpoint.DeepCopy(), secret(token))
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
	c := operated(t, awake, demo(), secret(token))
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
	c := operated(t, awake, demo(), other, foreign, secret(token))
	result := run(t, connectTo(c), "", "rotate", "demo")
	result.check(t, StatusOK, "of data, demo\n", "every sidecar of data", "every sidecar of demo", "EncodingAESKey: what this prints")
	if strings.Contains(result.out, "elsewhere") {
		t.Error("it waits for an endpoint of another Secret")
	}
}

// TestRotateLeavesToOthersWhatTheyWrite: who writes the Secret would put the earlier values back, and the console would have others.
func TestRotateLeavesToOthersWhatTheyWrite(t *testing.T) {
	owned := func(kind, apiVersion string) func(*corev1.Secret) {
		return func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{APIVersion: apiVersion, Kind: kind, Name: "shop", UID: "a", Controller: new(true)}}
		}
	}
	labelled := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { metav1.SetMetaDataLabel(&s.ObjectMeta, key, value) }
	}
	annotated := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, value) }
	}
	for name, test := range map[string]struct {
		change func(*corev1.Secret)
		who    string // empty where it may be changed
	}{
		"an ExternalSecret owns it":           {owned("ExternalSecret", "external-secrets.io/v1"), "ExternalSecret shop (external-secrets.io)"},
		"a SealedSecret owns it":              {owned("SealedSecret", "bitnami.com/v1alpha1"), "SealedSecret shop (bitnami.com)"},
		"an ExternalSecret that does not own": {annotated("reconcile.external-secrets.io/data-hash", "a"), "in the store that it reads"},
		"Argo CD applies it":                  {annotated("argocd.argoproj.io/tracking-id", "shop:/Secret:a/b"), "Argo CD (shop:/Secret:a/b)"},
		"Flux applies it":                     {labelled("kustomize.toolkit.fluxcd.io/name", "apps"), "Flux's Kustomization apps"},
		"Flux installs it by a chart":         {labelled("helm.toolkit.fluxcd.io/name", "shop"), "Flux's HelmRelease shop"},
		"helm installs it":                    {annotated("meta.helm.sh/release-name", "shop"), "the helm release shop"},
		"somebody owns it, and writes nothing": {func(s *corev1.Secret) {
			s.OwnerReferences = []metav1.OwnerReference{{Kind: "Team", Name: "a", UID: "a"}}
		}, ""},
		"people write it": {labelled("team", "shop"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			written := secret(token)
			test.change(written)
			c := operated(t, awake, demo(), written)
			result := run(t, connectTo(c), "", "rotate", "demo")
			var now corev1.Secret
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(written), &now); err != nil {
				t.Fatal(err)
			}
			if test.who == "" {
				result.check(t, StatusOK, "press Save")
				return
			}
			if result.status != StatusUsage || !strings.Contains(result.errout, test.who) || !strings.Contains(result.errout, "shows RotationPending, enter the same values") {
				t.Errorf("it ends with %d and says %s%s", result.status, result.out, result.errout)
			}
			if string(now.Data["token"]) != token {
				t.Error("the Secret is changed")
			}
			run(t, connectTo(c), "", "rotate", "demo", "--overwrite").check(t, StatusOK, "press Save")
		})
	}
}

func TestRotateRevokesWhatLeaked(t *testing.T) {
	for answer, test := range map[string]struct {
		flags   []string
		status  int
		revoked int64
	}{
		"y\n": {[]string{"--compromised"}, StatusOK, 2},
		"n\n": {[]string{"--compromised"}, StatusRefused, 0},
		"":    {[]string{"--compromised"}, StatusRefused, 0},
		"no":  {[]string{"--compromised", "--yes"}, StatusOK, 2},
	} {
		c := operated(t, awake, servedDemo(), secret(token))
		result := run(t, connectTo(c), answer, append([]string{"rotate", "demo"}, test.flags...)...)
		result.check(t, test.status)
		if said := strings.Contains(result.out, "every sidecar of demo refuses every generation before 2"); said != (test.status == StatusOK) {
			t.Errorf("answered %q, it says that the earlier values are refused: %t", answer, said)
		}
		endpoint := demo()
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(endpoint), endpoint); err != nil || endpoint.Spec.Credentials.RevokeBefore != test.revoked {
			t.Errorf("answered %q, revokeBefore is %d, want %d (%v)", answer, endpoint.Spec.Credentials.RevokeBefore, test.revoked, err)
		}
	}
}

// TestRotateDoesNotSayTooSoonThatALeakIsOver: it is, once every sidecar serves without the earlier values, and not before.
func TestRotateDoesNotSayTooSoonThatALeakIsOver(t *testing.T) {
	for name, test := range map[string]struct {
		revoked func(*v1alpha1.WeChatEndpoint) // what the operator says after the spec was changed
		why     string
	}{
		"the operator is asleep": {func(*v1alpha1.WeChatEndpoint) {}, "(is the operator running?)"},
		"the endpoint is refused, and its sidecars serve what they served": {func(e *v1alpha1.WeChatEndpoint) {
			says(e, v1alpha1.ConditionAccepted, metav1.ConditionFalse, "team-b/other holds the URL")
			says(e, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, "")
		}, "(Accepted: team-b/other holds the URL)"},
		"the earlier values are still accepted, and nothing says why": {func(e *v1alpha1.WeChatEndpoint) {
			says(e, v1alpha1.ConditionSidecarAvailable, metav1.ConditionTrue, "")
		}, "(is the operator running?)"},
		"a sidecar has not loaded it": {func(e *v1alpha1.WeChatEndpoint) {
			awake(e, false)
			says(e, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, "1 of 2 pods serve this")
		}, "(SidecarAvailable: 1 of 2 pods serve this)"},
		"what is said of the sidecars is of the earlier spec": {func(e *v1alpha1.WeChatEndpoint) {
			awake(e, false)
			meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionSidecarAvailable).ObservedGeneration--
		}, "(is the operator running?)"},
		"the rest of the spec has not been looked at": {func(e *v1alpha1.WeChatEndpoint) {
			awake(e, false)
			e.Status.ObservedGeneration--
		}, "(is the operator running?)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := operated(t, func(e *v1alpha1.WeChatEndpoint, renewed bool) {
				if renewed {
					awake(e, true)
					return
				}
				test.revoked(e)
			}, servedDemo(), secret(token))
			result := run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes", "--timeout", "1ms")
			result.check(t, StatusRefused, "refused: what leaked may still be accepted: not every sidecar of demo is known to refuse it "+test.why,
				"do: mend that; credentials.revokeBefore is set", "kubectl -n shop get wxe demo -o yaml")
			if strings.Contains(result.out, "revoked") || strings.Contains(result.out, "ok:") {
				t.Error("it says that the leak is over")
			}
		})
	}
}

// TestRotateWaitsForAllThatLeaked: the endpoints of one Secret have leaked together.
func TestRotateWaitsForAllThatLeaked(t *testing.T) {
	other := servedDemo()
	other.Name = "data"
	c := operated(t, func(e *v1alpha1.WeChatEndpoint, renewed bool) {
		if renewed || e.Name == "data" {
			awake(e, renewed)
		}
	}, servedDemo(), other, secret(token))
	result := run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes", "--timeout", "1ms")
	result.check(t, StatusRefused, "every sidecar of data refuses every generation before 2", "not every sidecar of demo is known to refuse it")
}

// TestRotateChangesNothingThatWouldNotBeServed: the console must not get what no sidecar takes.
func TestRotateChangesNothingThatWouldNotBeServed(t *testing.T) {
	paused := func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true }
	told := func(condition, message string) func(*v1alpha1.WeChatEndpoint) {
		return func(e *v1alpha1.WeChatEndpoint) { says(e, condition, metav1.ConditionFalse, message) }
	}
	because := func(condition, reason, message string) func(*v1alpha1.WeChatEndpoint) {
		return func(e *v1alpha1.WeChatEndpoint) {
			says(e, condition, metav1.ConditionFalse, message)
			meta.FindStatusCondition(e.Status.Conditions, condition).Reason = reason
		}
	}
	named := func(e *v1alpha1.WeChatEndpoint) { e.Name = "data" }
	never := func(e *v1alpha1.WeChatEndpoint) { e.Status.Credentials = v1alpha1.CredentialsStatus{} } // served
	for name, test := range map[string]struct {
		endpoints []client.Object
		words     string
	}{
		"a paused endpoint":                     {[]client.Object{servedDemo(paused)}, "WeChatEndpoint demo is paused, so that its sidecars would not get new values: set spec.paused to false first; nothing is changed"},
		"a paused endpoint of the same Secret":  {[]client.Object{servedDemo(), servedDemo(named, paused)}, "WeChatEndpoint data is paused"},
		"a refused endpoint":                    {[]client.Object{servedDemo(never, told(v1alpha1.ConditionAccepted, "team-b/other holds the URL"))}, "demo would not get new values (Accepted: team-b/other holds the URL): mend that first; nothing is changed"},
		"an endpoint whose app is not there":    {[]client.Object{servedDemo(never, told(v1alpha1.ConditionBackendResolved, "there is no Service app"))}, "(BackendResolved: there is no Service app)"},
		"an endpoint whose Secret is another's": {[]client.Object{servedDemo(because(v1alpha1.ConditionAccepted, v1alpha1.ReasonNameTaken, "Secret demo-sidecar exists"))}, "(Accepted: Secret demo-sidecar exists)"},
		"an endpoint that cannot be read":       {[]client.Object{servedDemo(because(v1alpha1.ConditionAccepted, v1alpha1.ReasonSpecUnreadable, "spec.messageMode"))}, "(Accepted: spec.messageMode)"},
		"a Secret that the operator cannot see": {[]client.Object{servedDemo(because(v1alpha1.ConditionCredentialsResolved, v1alpha1.ReasonSecretNotFound, "it lacks the label"))}, "(CredentialsResolved: it lacks the label)"},
	} {
		t.Run(name, func(t *testing.T) {
			c := operated(t, awake, append(test.endpoints, secret(token))...)
			run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes").check(t, StatusUsage, test.words)
			var now corev1.Secret
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret(token)), &now); err != nil || string(now.Data[v1alpha1.KeyToken]) != token {
				t.Errorf("the Secret was changed (%v)", err)
			}
		})
	}
	t.Run("but what serves gets new values whatever else is wrong", func(t *testing.T) {
		refused := servedDemo(told(v1alpha1.ConditionAccepted, "team-b/other holds the URL"))
		run(t, connectTo(operated(t, awake, refused, secret(token))), "", "rotate", "demo").check(t, StatusOK)
	})
	t.Run("pods that do not serve what they have hold it up, unless the values leaked", func(t *testing.T) {
		failing := servedDemo(told(v1alpha1.ConditionSidecarAvailable, "pod demo-sidecar-0: ErrImagePull"))
		c := operated(t, awake, failing, secret(token))
		run(t, connectTo(c), "", "rotate", "demo").check(t, StatusUsage, "(SidecarAvailable: pod demo-sidecar-0: ErrImagePull): mend that first; nothing is changed")
		run(t, connectTo(c), "", "rotate", "demo", "--compromised", "--yes").check(t, StatusOK)
	})
	t.Run("but what was said of an earlier spec counts no more", func(t *testing.T) {
		mended := servedDemo(never, told(v1alpha1.ConditionAccepted, "team-b/other holds the URL"), func(e *v1alpha1.WeChatEndpoint) { e.Generation++ })
		run(t, connectTo(operated(t, awake, mended, secret(token))), "", "rotate", "demo").check(t, StatusOK)
	})
}

// TestRotateSaysWhatIsNotServed: whoever pressed Save then would lose messages.
func TestRotateSaysWhatIsNotServed(t *testing.T) {
	for name, test := range map[string]struct {
		operator operator
		why      string
	}{
		"the operator is asleep": {asleep, "(is the operator running?)"},
		"the endpoint is refused meanwhile": {func(e *v1alpha1.WeChatEndpoint, _ bool) {
			says(e, v1alpha1.ConditionAccepted, metav1.ConditionFalse, "team-b/other holds the URL")
		}, "(Accepted: team-b/other holds the URL)"},
		"a sidecar has not loaded the new values": {func(e *v1alpha1.WeChatEndpoint, renewed bool) {
			awake(e, renewed)
			says(e, v1alpha1.ConditionSidecarAvailable, metav1.ConditionFalse, "1 of 2 pods serve this")
		}, "(SidecarAvailable: 1 of 2 pods serve this)"},
		"what is said of the sidecars is of an earlier spec": {func(e *v1alpha1.WeChatEndpoint, renewed bool) {
			awake(e, renewed)
			meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionSidecarAvailable).ObservedGeneration--
		}, "(is the operator running?)"},
	} {
		t.Run(name, func(t *testing.T) {
			result := run(t, connectTo(operated(t, test.operator, servedDemo(), secret(token))), "", "rotate", "demo", "--timeout", "1ms")
			result.check(t, StatusUsage, "the Secret is changed, and not every sidecar of demo is known to serve it "+test.why,
				"do not press Save before", "a status.credentials.generation above 1")
			if strings.Contains(result.out, "enter") {
				t.Error("it says what to enter before it is served")
			}
		})
	}
}

// TestRotateNamesAPauseThatCameLater, which no condition does: a paused endpoint is accepted.
func TestRotateNamesAPauseThatCameLater(t *testing.T) {
	if why := missing(servedDemo(func(e *v1alpha1.WeChatEndpoint) { e.Spec.Paused = true })); why.Error() != "spec.paused is true" {
		t.Errorf("it says %q", why)
	}
}

func TestRotateSaysWhyNot(t *testing.T) {
	pay := demo()
	pay.Spec.Platform = v1alpha1.PlatformPay
	run(t, cluster(t, pay, secret(token)), "", "rotate", "demo").check(t, StatusUsage, "merchant platform")
	run(t, cluster(t, demo()), "", "rotate", "demo").check(t, StatusUsage, "reading Secret shop/")
	run(t, noCluster(t), "", "rotate").check(t, StatusUsage, "name an endpoint")
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
