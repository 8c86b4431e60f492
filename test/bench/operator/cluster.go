// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/wechatendpoint/wechatendpoint/controllers"
)

// bench is a running API server, and the operator beside it.
type bench struct {
	settings    settings
	environment *envtest.Environment
	config      *rest.Config
	client      client.WithWatch
	folder      string // of the files below
	operator    *operator
	templates   []object // the children of one endpoint, as the operator applied them
}

// auditPolicy logs who asked for what, and nothing of the bodies.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (b *bench) auditLog() string { return filepath.Join(b.folder, "audit.log") }

// start starts the API server, with a log of every request.
func start(ctx context.Context, s settings) (_ *bench, err error) {
	b := &bench{settings: s, environment: &envtest.Environment{
		CRDDirectoryPaths: []string{"config/crd/bases"}, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: time.Minute,
	}}
	if b.folder, err = os.MkdirTemp("", "bench-operator-"); err != nil {
		return nil, err
	}
	policy := filepath.Join(b.folder, "policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	b.environment.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).Set("audit-log-path", b.auditLog()).Set("audit-log-mode", "batch").
		Set("audit-log-batch-max-wait", "500ms").Set("audit-log-batch-throttle-enable", "false").
		Set("audit-log-batch-buffer-size", "1000000").Set("profiling", "true").
		Set("service-cluster-ip-range", "10.0.0.0/12")
	if b.config, err = b.environment.Start(); err != nil {
		return nil, fmt.Errorf("starting the API server (is KUBEBUILDER_ASSETS set?): %w", err)
	}
	b.config.QPS, b.config.UserAgent = -1, "bench"
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, errors.Join(err, b.stop())
	}
	if b.client, err = client.NewWithWatch(b.config, client.Options{Scheme: scheme}); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	class := &networkingv1.IngressClass{ObjectMeta: metav1.ObjectMeta{Name: "bench"}, Spec: networkingv1.IngressClassSpec{Controller: "example.com/none"}}
	if err := errors.Join(b.client.Create(ctx, class), b.makeNamespace(ctx, operatorNamespace)); err != nil {
		return nil, errors.Join(err, b.stop())
	}
	return b, nil
}

func (b *bench) stop() error {
	var err error
	if b.operator != nil {
		err = b.operator.stop()
	}
	return errors.Join(err, b.environment.Stop(), os.RemoveAll(b.folder))
}
