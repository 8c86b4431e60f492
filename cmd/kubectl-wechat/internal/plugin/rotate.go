// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
	"github.com/wechatendpoint/wechatendpoint/sidecar/wechat/wechattest"
)

// notSaved is what is left to do when the console has not taken the new values.
var notSaved = &wechattest.Refusal{
	Cause: "the console was not said to hold the new ones", Remedy: "press Save, then set spec.credentials.revokeBefore to status.credentials.generation",
}

// lookInterval is the pause between two looks at what the operator says.
const lookInterval = 500 * time.Millisecond

// rotate puts a new token, and where messages are encrypted a new key, into the Secret of an endpoint, waits until every
// sidecar accepts them, and says what to enter in the console. Other endpoints that name the same Secret change with it.
func (p Plugin) rotate(ctx context.Context, o options) (int, error) {
	cluster, endpoint, err := p.endpoint(ctx, o)
	if err != nil {
		return 0, err
	}
	if endpoint.Spec.Platform == v1alpha1.PlatformPay {
		return 0, errors.New("the APIv3 key of a merchant is set in the merchant platform (账户中心, API安全): set it there, then in the Secret; the earlier one stays accepted for credentials.overlap")
	}
	sharing, err := p.sharing(ctx, cluster, endpoint)
	if err != nil {
		return 0, err
	}
	r := report{p.Stdout}
	r.line("secret", "%s/%s, of %s", endpoint.Namespace, endpoint.Spec.Credentials.SecretName, names(sharing))
	before := generations(sharing)
	values, err := p.renew(ctx, cluster, endpoint, sharing)
	if err != nil {
		return 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for i := range sharing {
		if err := p.awaitServed(waiting, cluster, &sharing[i], before[i]); err != nil {
			return 0, err
		}
		r.line("served", "every sidecar of %s accepts generation %d beside the earlier ones", sharing[i].Name, sharing[i].Status.Credentials.Generation)
	}
	p.tellConsole(r, o, endpoint, values)
	if o.compromised {
		return p.revoke(ctx, cluster, o, sharing)
	}
	return r.ok("now press Save (提交) in the console; until then WeChat's messages pass with the earlier values"), nil
}

// sharing are the endpoints that name the same Secret, such as the two URLs of a suite.
func (p Plugin) sharing(ctx context.Context, cluster client.Client, endpoint *v1alpha1.WeChatEndpoint) ([]v1alpha1.WeChatEndpoint, error) {
	var all v1alpha1.WeChatEndpointList
	if err := cluster.List(ctx, &all, client.InNamespace(endpoint.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the endpoints that share the Secret: %w", err)
	}
	var sharing []v1alpha1.WeChatEndpoint
	for _, other := range all.Items {
		if other.Spec.Credentials.SecretName == endpoint.Spec.Credentials.SecretName {
			sharing = append(sharing, other)
		}
	}
	return sharing, nil
}

func names(endpoints []v1alpha1.WeChatEndpoint) string {
	var all []string
	for _, endpoint := range endpoints {
		all = append(all, endpoint.Name)
	}
	return strings.Join(all, ", ")
}

func generations(endpoints []v1alpha1.WeChatEndpoint) []int64 {
	var all []int64
	for _, endpoint := range endpoints {
		all = append(all, endpoint.Status.Credentials.Generation)
	}
	return all
}

// renew writes new values over the version of the Secret that was read, and returns them.
func (p Plugin) renew(ctx context.Context, cluster client.Client, endpoint *v1alpha1.WeChatEndpoint, sharing []v1alpha1.WeChatEndpoint) (map[string]string, error) {
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Spec.Credentials.SecretName}
	var secret corev1.Secret
	if err := cluster.Get(ctx, key, &secret); err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	values := map[string]string{v1alpha1.KeyToken: alphanumeric(config.MaxTokenSize)}
	for _, other := range sharing {
		if config.Encrypted(string(other.Spec.Platform), string(other.Spec.MessageMode)) {
			values[v1alpha1.KeyEncodingAESKey] = alphanumeric(config.EncodingAESKeySize)
		}
	}
	before := secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	for name, value := range values {
		secret.Data[name] = []byte(value)
	}
	if err := cluster.Patch(ctx, &secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, fmt.Errorf("writing Secret %s: %w", key, err)
	}
	return values, nil
}

// alphanumeric makes n random letters and digits, each as likely as the others.
func alphanumeric(n int) string {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	text := make([]byte, n)
	for i := range text {
		index, err := rand.Int(rand.Reader, big.NewInt(int64(len(all))))
		if err != nil {
			panic(err) // crypto/rand never fails on the platforms that Go supports
		}
		text[i] = all[index.Int64()]
	}
	return string(text)
}

// awaitServed waits until the operator says that every sidecar of an endpoint accepts a newer generation.
func (p Plugin) awaitServed(ctx context.Context, cluster client.Reader, endpoint *v1alpha1.WeChatEndpoint, before int64) error {
	for {
		if err := cluster.Get(ctx, client.ObjectKeyFromObject(endpoint), endpoint); err != nil && ctx.Err() == nil {
			return fmt.Errorf("reading WeChatEndpoint %s: %w", endpoint.Name, err)
		}
		status := endpoint.Status
		if status.Credentials.Generation > before && meta.IsStatusConditionTrue(status.Conditions, v1alpha1.ConditionSidecarAvailable) {
			return nil
		}
		select {
		case <-time.After(lookInterval):
		case <-ctx.Done():
			return fmt.Errorf("the Secret is changed, but not every sidecar of %s serves it yet (%s): do not press Save before kubectl get wxe shows it Ready",
				endpoint.Name, missing(endpoint))
		}
	}
}

// missing is the first condition that says why.
func missing(endpoint *v1alpha1.WeChatEndpoint) string {
	for _, condition := range endpoint.Status.Conditions {
		if condition.Status != metav1.ConditionTrue && condition.Type != v1alpha1.ConditionReady {
			return condition.Type + ": " + printable(condition.Message)
		}
	}
	return "is the operator running?"
}

// tellConsole says what to enter where. The values themselves are shown only to who asks for them.
func (p Plugin) tellConsole(r report, o options, endpoint *v1alpha1.WeChatEndpoint, values map[string]string) {
	for _, field := range []struct{ label, key string }{{"Token", v1alpha1.KeyToken}, {"EncodingAESKey", v1alpha1.KeyEncodingAESKey}} {
		value, changed := values[field.key]
		switch {
		case !changed:
		case o.show:
			r.line("enter", "%s: %s", field.label, value)
		default:
			r.line("enter", "%s: what this prints: kubectl -n %s get secret %s -o jsonpath='{.data.%s}' | base64 -d",
				field.label, endpoint.Namespace, endpoint.Spec.Credentials.SecretName, field.key)
		}
	}
}

// revoke ends the earlier values at once, when the console has the new ones.
func (p Plugin) revoke(ctx context.Context, cluster client.Client, o options, endpoints []v1alpha1.WeChatEndpoint) (int, error) {
	r := report{p.Stdout}
	if !o.yes {
		fmt.Fprint(p.Stdout, "Press Save (提交) in the console now. Was it accepted? Then the earlier values are refused at once. [y/N] ")
		answer, _ := bufio.NewReader(p.Stdin).ReadString('\n') // no answer is no
		if strings.ToLower(strings.TrimSpace(answer)) != "y" {
			return r.refused("the earlier values are still accepted: ", notSaved), nil
		}
	}
	for i := range endpoints {
		before := endpoints[i].DeepCopy()
		endpoints[i].Spec.Credentials.RevokeBefore = endpoints[i].Status.Credentials.Generation
		if err := cluster.Patch(ctx, &endpoints[i], client.MergeFrom(before)); err != nil {
			return 0, fmt.Errorf("setting credentials.revokeBefore of %s: %w", endpoints[i].Name, err)
		}
		r.line("revoked", "%s refuses every generation before %d", endpoints[i].Name, endpoints[i].Spec.Credentials.RevokeBefore)
	}
	return r.ok("what leaked is of no use any more"), nil
}
