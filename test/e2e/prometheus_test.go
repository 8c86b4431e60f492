//go:build e2e

// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wechatendpoint/wechatendpoint/test/prometheus"
)

// monitor is what a ServiceMonitor or a PodMonitor of the chart asks for.
type monitor struct {
	Kind string
	Spec struct {
		Selector                       metav1.LabelSelector
		Endpoints, PodMetricsEndpoints []struct {
			Port, Path, Scheme string
			HonorLabels        bool
		}
	}
}

// isReadByPrometheus lets a real Prometheus read what the chart's monitors select, and evaluate its alerts. Prometheus Operator would find the
// targets so, too; the test finds them in its place.
func (s *stage) isReadByPrometheus(t *testing.T) {
	t.Helper()
	rendered, err := call(t.Context(), kube.helm, "template", release, chart, "--namespace", operatorNamespace,
		"--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true,sidecar.networkPolicy.metricsFrom[0].matchLabels.a=b")
	if err != nil {
		t.Fatal(err)
	}
	var monitors []monitor
	var services []corev1.Service
	for document := range strings.SplitSeq(rendered, "\n---\n") {
		var m monitor
		var service corev1.Service
		if err := yaml.Unmarshal([]byte(document), &m); err != nil {
			t.Fatal(err)
		}
		switch m.Kind {
		case "ServiceMonitor", "PodMonitor":
			monitors = append(monitors, m)
		case "Service":
			if err := yaml.Unmarshal([]byte(document), &service); err != nil {
				t.Fatal(err)
			}
			services = append(services, service)
		}
	}
	s.allowMetrics(t, "prometheus")
	token := s.accountToken(t, "prometheus")
	config := prometheus.Config{Rules: []string{chart + "/files/alerts.yaml"}}
	for _, m := range monitors {
		job := prometheus.Job{Name: m.Kind}
		selector, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
		if err != nil {
			t.Fatal(err)
		}
		switch m.Kind {
		case "PodMonitor":
			job.Targets = targets(t, selector, m.Spec.PodMetricsEndpoints[0].Port)
		case "ServiceMonitor":
			endpoint := m.Spec.Endpoints[0]
			job.HTTPS, job.HonorLabels, job.Token = endpoint.Scheme == "https", endpoint.HonorLabels, token
			for _, service := range services {
				for _, port := range service.Spec.Ports {
					if selector.Matches(labels.Set(service.Labels)) && port.Name == endpoint.Port {
						job.Targets = targets(t, labels.SelectorFromSet(service.Spec.Selector), port.TargetPort.StrVal)
					}
				}
			}
		}
		if len(job.Targets) == 0 {
			t.Errorf("the %s selects no pod", m.Kind)
		}
		config.Jobs = append(config.Jobs, job)
	}
	if len(config.Jobs) != 2 {
		t.Fatalf("the chart has %d monitors", len(monitors))
	}
	server := prometheus.Start(t, config)
	server.AwaitTargets(t, patience)
	endpoint := fmt.Sprintf("namespace=%q,name=%q", s.namespace, endpointName)
	for _, query := range []string{
		"wechatendpoint_status_condition{" + endpoint + `,type="Ready",status="True"} == 1`,
		fmt.Sprintf("sum(wechat_sidecar_callbacks_total{wechat_endpoint=%q}) > 0", s.namespace+"/"+endpointName),
		"count(wechatendpoint_build_info) == 1",
	} {
		if len(server.Query(t, query)) != 1 {
			t.Errorf("Prometheus has no answer to %s", query)
		}
	}
	for _, alert := range server.Query(t, `ALERTS{alertstate="firing"}`) {
		t.Errorf("an alert fires: %v", alert.Labels)
	}
	t.Logf("prometheus: %d and %d targets read", len(config.Jobs[0].Targets), len(config.Jobs[1].Targets))
}

// targets are the port of that name of each pod that runs, as discovery finds them.
func targets(t *testing.T, selector labels.Selector, name string) (found []prometheus.Target) {
	t.Helper()
	var pods corev1.PodList
	if err := kube.List(t.Context(), &pods, client.MatchingLabelsSelector{Selector: selector}); err != nil {
		t.Fatal(err)
	}
	for _, pod := range pods.Items {
		for _, container := range pod.Spec.Containers {
			for _, port := range container.Ports {
				if port.Name == name && pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
					found = append(found, prometheus.Target{
						Address: net.JoinHostPort(pod.Status.PodIP, fmt.Sprint(port.ContainerPort)),
						Labels:  map[string]string{"namespace": pod.Namespace, "pod": pod.Name},
					})
				}
			}
		}
	}
	return found
}
