//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
)

// kube is the cluster that all tests share. It is set before the first one.
var kube *cluster

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintf(os.Stderr, "e2e: %v\n", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run installs the operator, runs the tests, and removes it.
func run(m *testing.M) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var err error
	if kube, err = connect(); err != nil {
		return 0, err
	}
	if err := kube.makeRoom(ctx); err != nil {
		return 0, err
	}
	if err := kube.install(ctx); err != nil {
		return 0, err
	}
	code := m.Run()
	if code == 0 && auditable() {
		err = checkOperatorRights()
	}
	return code, errors.Join(err, cleanUp())
}

func checkOperatorRights() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return kube.checkRights(ctx)
}

func cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return errors.Join(kube.awaitNoGateways(ctx), kube.uninstall(ctx), kube.deleteDefinition(ctx))
}

// awaitNoGateways waits for the gateways of the tests, which only an operator lets go.
func (c *cluster) awaitNoGateways(ctx context.Context) error {
	for {
		var gateways v1alpha1.WeChatGatewayList
		if err := c.List(ctx, &gateways); err != nil {
			return fmt.Errorf("listing gateways: %w", err)
		}
		if !slices.ContainsFunc(gateways.Items, func(g v1alpha1.WeChatGateway) bool { return strings.HasPrefix(g.Namespace, namespacePrefix) }) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("waiting for the gateways of the tests to be gone: %w", err)
		}
	}
}

// makeRoom keeps the tests from replacing somebody's operator. The local cluster is nobody's, and there what the demo has left is removed:
// its endpoints would have a part in the rollouts of the tests.
func (c *cluster) makeRoom(ctx context.Context) error {
	if c.local {
		var endpoints v1alpha1.WeChatEndpointList
		err := c.List(ctx, &endpoints)
		if meta.IsNoMatchError(err) {
			return nil
		}
		for i := range endpoints.Items {
			err = errors.Join(err, client.IgnoreNotFound(c.Delete(ctx, &endpoints.Items[i])))
		}
		return err
	}
	if _, err := call(ctx, c.helm, "status", release, "--namespace", operatorNamespace); err == nil {
		return errors.New("this cluster has an operator already, which the tests would replace and remove: use another cluster")
	}
	return nil
}

// deleteDefinition removes the CRDs that uninstalling keeps, unless somebody has endpoints. Those of the tests are on their
// way out with their namespaces.
func (c *cluster) deleteDefinition(ctx context.Context) error {
	for {
		var endpoints v1alpha1.WeChatEndpointList
		err := c.List(ctx, &endpoints)
		if meta.IsNoMatchError(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing endpoints: %w", err)
		}
		if len(endpoints.Items) == 0 {
			_, err := call(ctx, c.kubectl, "delete", "crd", definition, gatewayDefinition, "--ignore-not-found")
			return err
		}
		if !slices.ContainsFunc(endpoints.Items, func(e v1alpha1.WeChatEndpoint) bool { return strings.HasPrefix(e.Namespace, namespacePrefix) }) {
			return nil
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("waiting for the endpoints of the tests to be gone: %w", err)
		}
	}
}
