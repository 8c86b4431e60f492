// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// oldestKubernetes is the oldest version that the tests run on. The chart asks for it too; kustomize cannot.
const oldestKubernetes = "1.33"

// checkCluster refuses a cluster that is too old. Of one that does not answer, what comes next says more.
func checkCluster(config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("making a client of the cluster: %w", err)
	}
	server, err := client.ServerVersion()
	if err != nil {
		return nil
	}
	return checkVersion(server.GitVersion)
}

func checkVersion(server string) error {
	found, err := version.ParseGeneric(server)
	if err == nil && found.LessThan(version.MustParseGeneric(oldestKubernetes)) {
		return fmt.Errorf("the cluster is Kubernetes %s, whose API server does not check all that this operator rests on: upgrade it to %s or newer", server, oldestKubernetes)
	}
	return nil
}
