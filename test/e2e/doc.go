// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the whole on a real cluster: the chart, the operator, the sidecars and an ingress controller, with
// requests like WeChat's through the controller's ports 80 and 443.
//
// `make e2e` runs it, with the build tag e2e. The environment says where:
//
//	KUBECONFIG       the cluster
//	CLUSTER          local (default): the cluster of test/cluster, whose network the tests are run in; current: any other
//	HELM, KUBECTL    the programs; default: those on the PATH
//	KREW, CRANE      the same, for the local cluster alone
//	IMAGE_PREFIX     registry and folder of the images, default ghcr.io/wechatendpoint
//	IMAGE_TAG        their tag, default dev
//	INGRESS_CLASS    default traefik
//	INGRESS_ADDRESS  host:port of the ingress controller's plain HTTP; default: port 80 of the local cluster's node
//	INGRESS_TLS_ADDRESS  the same of its HTTPS; default: port 443 there, and on other clusters none: no test of it is run
//	CHAOS            long: TestChaos plays every fault, as `make chaos` does
//
// On the local cluster a run of all tests ends by comparing the operator's roles with what it asked of the API server.
//
// The operator is installed before the tests and removed after them. On another cluster than the local one that is
// refused where an operator is installed already.
package e2e
