// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"crypto/rand"
	"maps"
	"math/big"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
	"github.com/wechatendpoint/wechatendpoint/sidecar/config"
)

// rotate puts a new token, and where messages are encrypted a new key, into the Secret of an endpoint, waits until every
// sidecar accepts them, and says what to enter in the console. Other endpoints that name the same Secret change with it.
func (p Plugin) rotate(ctx context.Context, o options) (int, error) {
	cluster, endpoint, err := p.endpoint(ctx, o)
	if err != nil {
		return 0, err
	}
	if endpoint.Spec.Platform == v1alpha1.PlatformPay {
		return 0, text.Errorf("the APIv3 key of a merchant is set in the merchant platform (账户中心, API安全): set it there, then in the Secret; the earlier one stays accepted for credentials.overlap")
	}
	sharing, err := p.sharing(ctx, cluster, endpoint)
	if err != nil {
		return 0, err
	}
	for i := range sharing {
		if err := rotatable(&sharing[i], o.compromised); err != nil {
			return 0, err
		}
		if gateway := pausedGateway(ctx, cluster, &sharing[i]); gateway != "" {
			return 0, text.Errorf("WeChatGateway %s is paused, therefore its pods would not get new values of WeChatEndpoint %s: set its spec.paused to false first; nothing is changed", gateway, sharing[i].Name)
		}
	}
	secret, err := credentialsOf(ctx, cluster, endpoint)
	if err != nil {
		return 0, err
	}
	if !o.overwrite {
		if err := checkWriter(secret, endpoint); err != nil {
			return 0, err
		}
	}
	r := p.report(p.Stdout)
	r.line("secret", "%s/%s, of %s", endpoint.Namespace, endpoint.Spec.Credentials.SecretName, names(sharing))
	before := generations(sharing)
	values, err := renew(ctx, cluster, secret, sharing)
	if err != nil {
		return 0, err
	}
	waiting, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for i := range sharing {
		newer := func(status v1alpha1.CredentialsStatus) bool { return status.Generation > before[i] }
		if err := await(waiting, cluster, &sharing[i], newer); err != nil {
			return 0, text.Errorf("the Secret is changed, and not every sidecar of %s is known to serve it (%w): do not press Save before kubectl -n %s get wxe %s -o yaml "+
				"shows a status.credentials.generation above %d, and SidecarAvailable True", named(&sharing[i]), err, endpoint.Namespace, sharing[i].Name, before[i])
		}
		r.line("served", "every sidecar of %s accepts generation %d beside the earlier ones", named(&sharing[i]), sharing[i].Status.Credentials.Generation)
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
		return nil, text.Errorf("listing the endpoints that share the Secret: %w", err)
	}
	var sharing []v1alpha1.WeChatEndpoint
	for _, other := range all.Items {
		if other.Spec.Credentials.SecretName == endpoint.Spec.Credentials.SecretName {
			sharing = append(sharing, other)
		}
	}
	return sharing, nil
}

// rotatable says why the sidecars would never get new values. Those that serve get them whatever else is wrong with the spec, unless nothing is known
// of the credentials. While not all of them serve what they have, nobody would know when to press Save; for values that leaked that is no reason to wait.
func rotatable(endpoint *v1alpha1.WeChatEndpoint, compromised bool) error {
	if endpoint.Spec.Paused {
		return text.Errorf("WeChatEndpoint %s is paused, therefore its sidecars would not get new values: set spec.paused to false first; nothing is changed", endpoint.Name)
	}
	stops := map[string][]string{v1alpha1.ConditionAccepted: nil, v1alpha1.ConditionBackendResolved: nil} // every reason
	if endpoint.Status.Credentials.Generation > 0 {
		stops = map[string][]string{
			v1alpha1.ConditionAccepted:            {v1alpha1.ReasonNameTaken, v1alpha1.ReasonSpecUnreadable},
			v1alpha1.ConditionCredentialsResolved: {v1alpha1.ReasonSecretNotFound},
		}
		if !compromised {
			stops[v1alpha1.ConditionSidecarAvailable] = nil
		}
	}
	for _, name := range slices.Sorted(maps.Keys(stops)) {
		condition := meta.FindStatusCondition(endpoint.Status.Conditions, name)
		if why := hindrance(endpoint, name); why != "" && (stops[name] == nil || slices.Contains(stops[name], condition.Reason)) {
			return text.Errorf("the sidecars of WeChatEndpoint %s would not get new values (%s): mend that first; nothing is changed", endpoint.Name, why)
		}
	}
	return nil
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

// credentialsOf reads the Secret that an endpoint names.
func credentialsOf(ctx context.Context, cluster client.Client, endpoint *v1alpha1.WeChatEndpoint) (*corev1.Secret, error) {
	key := client.ObjectKey{Namespace: endpoint.Namespace, Name: endpoint.Spec.Credentials.SecretName}
	var secret corev1.Secret
	if err := cluster.Get(ctx, key, &secret); err != nil {
		return nil, text.Errorf("reading Secret %s: %w", key, err)
	}
	return &secret, nil
}

// renew writes new values over the version of the Secret that was read, and returns them.
func renew(ctx context.Context, cluster client.Client, secret *corev1.Secret, sharing []v1alpha1.WeChatEndpoint) (map[string]string, error) {
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
	if err := cluster.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return nil, text.Errorf("writing Secret %s: %w", client.ObjectKeyFromObject(secret), err)
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

// tellConsole says what to enter where. The values themselves are shown only to who asks for them.
func (p Plugin) tellConsole(r report, o options, endpoint *v1alpha1.WeChatEndpoint, values map[string]string) {
	for _, field := range []struct{ label, key string }{{"Token", v1alpha1.KeyToken}, {"EncodingAESKey", v1alpha1.KeyEncodingAESKey}} {
		value, changed := values[field.key]
		switch {
		case !changed:
		case o.show:
			r.line("enter", "%s: %s", field.label, value)
		default:
			r.line("enter", "%s: what this prints: %s", field.label, secretCommand(endpoint, field.key))
		}
	}
}
