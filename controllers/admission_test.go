//go:build integration

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// operatorUser is the operator's identity in config/.
const operatorUser = "system:serviceaccount:wechatendpoint-system:wechatendpoint-operator"

// confine installs the operator's role and admission policy, and returns a configuration with its identity, so that every
// test shows what it may still do.
func confine(config *rest.Config, c client.Client, variables map[string]string) (*rest.Config, error) {
	var role rbacv1.ClusterRole
	var binding rbacv1.ClusterRoleBinding
	var policy admissionv1.ValidatingAdmissionPolicy
	var policyBinding admissionv1.ValidatingAdmissionPolicyBinding
	for file, object := range map[string]client.Object{
		"rbac/role.yaml": &role, "rbac/role_binding.yaml": &binding,
		"admission/policy.yaml": &policy, "admission/binding.yaml": &policyBinding,
	} {
		text, err := os.ReadFile("../config/" + file)
		if err == nil {
			err = yaml.UnmarshalStrict(text, object)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
	}
	for i, variable := range policy.Spec.Variables {
		if expression, ok := variables[variable.Name]; ok {
			policy.Spec.Variables[i].Expression = expression
		}
	}
	var errs []error
	for _, object := range []client.Object{&role, &binding, &policy, &policyBinding} {
		errs = append(errs, c.Create(context.Background(), object))
	}
	confined := rest.CopyConfig(config)
	confined.Impersonate = rest.ImpersonationConfig{UserName: operatorUser, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	return confined, errors.Join(errs...)
}

var _ = metav1.ObjectMeta{}
