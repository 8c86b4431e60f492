// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/wechatendpoint/wechatendpoint/api/v1alpha1"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/acceptance"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/metrics"
	"github.com/wechatendpoint/wechatendpoint/controllers/internal/status"
)

// tellUnreadable writes a line of the log when an object was stored that cannot be read. While its status cannot be written either, the
// metric goes on telling.
func tellUnreadable(ctx context.Context, endpoint *v1alpha1.WeChatEndpoint) {
	problems := append(slices.Clone(endpoint.Spec.Unreadable), endpoint.Status.Unreadable...)
	if len(problems) > 0 {
		ctrl.LoggerFrom(ctx).Error(errors.New(status.Shortened(strings.Join(acceptance.FirstFew(problems), "; "))), "a WeChatEndpoint cannot be read as it is stored")
	}
}

// Collectors are the operator's metrics, but for those that controller-runtime keeps of itself.
func Collectors(cache client.Reader) []prometheus.Collector {
	return []prometheus.Collector{metrics.BuildInfo(), Metrics{cache}}
}

// Metrics tell of endpoints and gateways. Each scrape reads the cache.
type Metrics struct{ client.Reader }

// Describe implements prometheus.Collector.
func (Metrics) Describe(descriptions chan<- *prometheus.Desc) { metrics.Describe(descriptions) }

// listTimeout is how long a scrape waits for a cache that has begun to read.
const listTimeout = 5 * time.Second

// Collect implements prometheus.Collector. Before the cache has read everything there is nothing to tell.
func (m Metrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var endpoints v1alpha1.WeChatEndpointList
	var gateways v1alpha1.WeChatGatewayList
	var secrets corev1.SecretList
	if err := errors.Join(
		m.List(ctx, &endpoints, client.UnsafeDisableDeepCopy), m.List(ctx, &gateways, client.UnsafeDisableDeepCopy),
		m.List(ctx, &secrets, client.UnsafeDisableDeepCopy, client.MatchingLabels{v1alpha1.LabelCredentials: v1alpha1.CredentialsUser}),
	); err != nil {
		return
	}
	objects := metrics.Objects{Endpoints: endpoints.Items, Gateways: gateways.Items, Secrets: map[types.NamespacedName]*corev1.Secret{}}
	for i := range secrets.Items {
		objects.Secrets[client.ObjectKeyFromObject(&secrets.Items[i])] = &secrets.Items[i]
	}
	for metric := range metrics.Of(objects) {
		to <- metric
	}
}
