// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/cmd/kubectl-wechat/internal/text"
)

// otherWriter is who writes a Secret beside people, and where it has the values from. Both are empty where nobody does, as far as the Secret tells.
func otherWriter(secret *corev1.Secret) (who, source string) {
	if owner := metav1.GetControllerOf(secret); owner != nil {
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		return fmt.Sprintf("%s %s (%s)", owner.Kind, owner.Name, group), "where that one reads them"
	}
	for _, mark := range []struct{ key, who, source string }{
		{"reconcile.external-secrets.io/managed", "an ExternalSecret", "in the store that it reads"},
		{"reconcile.external-secrets.io/data-hash", "an ExternalSecret", "in the store that it reads"},
		{"argocd.argoproj.io/tracking-id", "Argo CD (%s)", "in Git, sealed or encrypted"},
		{"argocd.argoproj.io/instance", "Argo CD (%s)", "in Git, sealed or encrypted"},
		{"kustomize.toolkit.fluxcd.io/name", "Flux's Kustomization %s", "in Git, sealed or encrypted"},
		{"helm.toolkit.fluxcd.io/name", "Flux's HelmRelease %s", "in its values, sealed or encrypted"},
		{"meta.helm.sh/release-name", "the helm release %s", "in its values"},
		{"config.k8s.io/owning-inventory", "the inventory %s", "in Git, sealed or encrypted"},
	} {
		for _, marks := range []map[string]string{secret.Labels, secret.Annotations} {
			if value, is := marks[mark.key]; is {
				if strings.Contains(mark.who, "%s") {
					return fmt.Sprintf(mark.who, value), mark.source
				}
				return mark.who, mark.source
			}
		}
	}
	return "", ""
}

// checkWriter refuses to change what somebody else would change back: the console would have values that the sidecars refuse once their overlap ends.
func checkWriter(secret *corev1.Secret, endpoint *v1alpha1.WeChatEndpoint) error {
	who, source := otherWriter(secret)
	if who == "" {
		return nil
	}
	return text.Errorf("the Secret %s/%s is written by %s, which would put the earlier values back: change them %s. Its sidecars take up what comes from there; "+
		"when kubectl -n %s describe wxe %s shows RotationPending, enter the same values in the console, and press Save. Nothing is changed; "+
		"--overwrite changes the Secret all the same, for where %s leaves its data alone",
		secret.Namespace, secret.Name, who, source, endpoint.Namespace, endpoint.Name, who)
}
