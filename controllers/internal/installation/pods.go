// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package installation

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// reserved are keys that the operator, or Kubernetes itself, writes on objects and pods.
var reserved = []string{
	"app.kubernetes.io/component", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/name", "pod-template-hash",
}

// validatePods says what is wrong with what the installation puts on objects and pods.
func (o Options) validatePods() error {
	var errs []error
	for _, one := range []struct {
		name   string
		labels map[string]string
	}{{"commonLabels", o.CommonLabels}, {"podLabels", o.PodLabels}} {
		for _, err := range metav1validation.ValidateLabels(one.labels, field.NewPath(one.name)) {
			errs = append(errs, err)
		}
		errs = append(errs, validateKeys(one.name, one.labels))
	}
	for _, key := range slices.Sorted(maps.Keys(o.PodAnnotations)) {
		if problems := content.IsLabelKey(strings.ToLower(key)); len(problems) > 0 {
			errs = append(errs, fmt.Errorf("podAnnotations: %q is no annotation: %s", key, strings.Join(problems, "; ")))
		}
	}
	errs = append(errs, validateKeys("podAnnotations", o.PodAnnotations))
	for _, one := range []struct {
		name string
		id   *int64
	}{{"runAsUser", o.PodSecurityContext.RunAsUser}, {"runAsGroup", o.PodSecurityContext.RunAsGroup}, {"fsGroup", o.PodSecurityContext.FSGroup}} {
		if one.id != nil && (*one.id < 1 || *one.id > math.MaxInt32) {
			errs = append(errs, fmt.Errorf("podSecurityContext.%s is %d: set a number from 1 to %d; 0 is root, as which no sidecar runs", one.name, *one.id, math.MaxInt32))
		}
	}
	return errors.Join(append(errs, validateResources(o.SidecarDefaults.Resources))...)
}

// validateResources finds what every Deployment would be refused for.
func validateResources(given *corev1.ResourceRequirements) error {
	if given == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(given.Requests)) {
		if limit, limited := given.Limits[name]; limited && limit.Cmp(given.Requests[name]) < 0 {
			return fmt.Errorf("sidecar.resources: the request of %s is above its limit: raise the limit, or lower the request", name)
		}
	}
	return nil
}

func validateKeys(name string, of map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(of)) {
		if slices.Contains(reserved, key) || strings.HasPrefix(key, v1alpha1.GroupVersion.Group+"/") {
			return fmt.Errorf("%s: %s is the operator's own: choose another key", name, key)
		}
	}
	return nil
}
