// Copyright The WeChatEndpoint Authors.
// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongValuesAreRefused: nothing that is misspelt, contradicts another value or would have no effect passes, and helm names it.
func TestWrongValuesAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		names  string // what of it the message names
	}{
		// Misspelt.
		"a name that is not there":           {"replicas: 2", "'replicas' not allowed"},
		"a name in another case":             {"LogLevel: info", "'LogLevel' not allowed"},
		"a name at the wrong place":          {"image: {tag: a}", "'image' not allowed"},
		"a name of the chart before":         {"crds: {install: true}", "'install' not allowed"},
		"a global that is misspelt":          {"global: {imageRegistri: a.example.com}", "global.imageRegistri is not known"},
		"a global of other charts":           {"global: {imagePullPolicy: Always}", "global.imagePullPolicy is not known"},
		"a field of an image":                {"operator: {image: {tags: a}}", "'tags' not allowed"},
		"a field of the sidecars":            {"sidecar: {replicas: 3}", "'replicas' not allowed"},
		"a field of the sidecars' pods":      {"sidecar: {defaults: {nodeSelectors: {a: b}}}", "'nodeSelectors' not allowed"},
		"a field of resources":               {"resources: {request: {cpu: 1}}", "'request' not allowed"},
		"a field of a toleration":            {"tolerations: [{keys: a}]", "'keys' not allowed"},
		"a field of a spread":                {"topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfied: b}]", "whenUnsatisfi"},
		"a field of a pull Secret":           {"imagePullSecrets: [{names: regcred}]", "imagePullSecrets/0"},
		"a field of a selector":              {"sidecar: {networkPolicy: {metricsFrom: [{matchLabel: {a: b}}]}}", "'matchLabel' not allowed"},
		"a field of a security context":      {"securityContext: {readOnlyRootFileSystem: true}", "'readOnlyRootFileSystem' not allowed"},
		"a field of an environment variable": {"extraEnv: [{name: A, values: a}]", "'values' not allowed"},
		"a field of a mount":                 {"extraVolumeMounts: [{name: a, path: /b}]", "extraVolumeMounts/0"},
		"a field of the ServiceAccount":      {"serviceAccount: {annotation: {a: b}}", "'annotation' not allowed"},
		"a field of metrics":                 {"metrics: {serviceMonitor: {enable: true}}", "'enable' not allowed"},
		"privileges for the sidecars' pods":  {"sidecar: {podSecurityContext: {privileged: true}}", "'privileged' not allowed"},
		"a level of the log":                 {"logLevel: verbose", "logLevel"},
		"a lane":                             {"sidecar: {lane: standard}", "lane"},
		"a mode":                             {"sidecar: {mode: Shared}", "mode"},
		"a pull policy":                      {"sidecar: {image: {pullPolicy: always}}", "pullPolicy"},
		"an effect":                          {"tolerations: [{operator: Exists, effect: NoScheduled}]", "effect"},
		"seconds that no effect heeds":       {"tolerations: [{operator: Exists, effect: NoSchedule, tolerationSeconds: 3}]", "effect"},
		"a value that nothing compares":      {"sidecar: {defaults: {tolerations: [{operator: Exists, key: a, value: b}]}}", "value"},
		"a strategy":                         {"strategy: {type: Rolling}", "type"},
		"a flag":                             {"extraArgs: [log-level=debug]", "extraArgs/0"},

		// Of another shape.
		"a tag that is a number":             {"sidecar: {image: {tag: 1.2}}", "tag"},
		"an image with its tag":              {"operator: {image: {repository: 'a.example.com/b:1'}}", "repository"},
		"an image with a scheme":             {"global: {imageRegistry: 'https://a.example.com'}", "imageRegistry"},
		"a prefix that ends with a slash":    {"imagePrefix: a.example.com/b/", "imagePrefix"},
		"a digest that is too short":         {"operator: {image: {digest: 'sha256:abc'}}", "digest"},
		"three pods":                         {"replicaCount: 3", "replicaCount"},
		"no pod":                             {"replicaCount: 0", "replicaCount"},
		"a text for a truth":                 {"allowEmptyHost: 'false'", "allowEmptyHost"},
		"a label that is a truth":            {"podLabels: {mesh: true}", "podLabels/mesh"},
		"a label with a space":               {"commonLabels: {team: the platform}", "commonLabels/team"},
		"a label that the chart sets":        {"commonLabels: {app.kubernetes.io/name: a}", "app.kubernetes.io/name"},
		"a label that the operator sets":     {"sidecar: {podLabels: {wechatendpoint.io/endpoint: a}}", "wechatendpoint.io/endpoint"},
		"an annotation of the operator's":    {"commonAnnotations: {wechatendpoint.io/woken: a}", "wechatendpoint.io/woken"},
		"an annotation that Kubernetes sets": {"sidecar: {podAnnotations: {pod-template-hash: a}}", "pod-template-hash"},
		"sidecars as root":                   {"sidecar: {podSecurityContext: {runAsUser: 0}}", "runAsUser"},
		"memory that is no quantity":         {"resources: {limits: {memory: 64MB}}", "memory"},
		"a device for the sidecars":          {"sidecar: {defaults: {resources: {limits: {nvidia.com/gpu: 1}}}}", "'nvidia.com/gpu' not allowed"},
		"a priority of Kubernetes' own":      {"sidecar: {defaults: {priorityClassName: system-node-critical}}", "priorityClassName"},
		"a namespace that cannot be":         {"watchNamespaces: [Team_A]", "watchNamespaces/0"},
		"a wildcard for namespaces":          {"watchNamespaces: ['*']", "watchNamespaces/0"},
		"a namespace twice":                  {"watchNamespaces: [a, a]", "watchNamespaces"},
		"an address for a network":           {"loadBalancerNetworks: [10.1.0.1]", "loadBalancerNetworks/0"},
		"a network that cannot be":           {"loadBalancerNetworks: [10.1.0.256/24]", "loadBalancerNetworks/0"},
		"a host with its port":               {"hosts: {'wx.example.com:80': [a]}", "hosts"},
		"a host in capitals":                 {"hosts: {WX.example.com: [a]}", "hosts"},
		"a host for nobody":                  {"hosts: {wx.example.com: []}", "hosts/wx.example.com"},
		"a host for one that is no list":     {"hosts: {wx.example.com: team-a}", "hosts/wx.example.com"},
		"an annotation with a wildcard":      {"allowedIngressAnnotations: ['nginx.ingress.kubernetes.io/*']", "allowedIngressAnnotations/0"},
		"no time at all for a rollout":       {"sidecar: {rollout: {progressDeadline: 0s}}", "progressDeadline"},
		"a time without a unit":              {"sidecar: {rollout: {progressDeadline: 300}}", "progressDeadline"},
		"nobody at a time":                   {"sidecar: {rollout: {maxEndpoints: 0}}", "maxEndpoints"},
		"a reader without a namespace":       {"metrics: {readers: [{name: prometheus}]}", "readers/0"},
		"a collector with HTTPS":             {"sidecar: {tracing: {endpoint: 'https://a.b.svc:4318'}}", "tracing/endpoint"},
		"a sample of nothing":                {"sidecar: {tracing: {samplingRatePerMillion: 0}}", "samplingRatePerMillion"},
		"a volume without a source":          {"extraVolumes: [{name: a}]", "extraVolumes/0"},

		"a host for the test with a star": {"test: {host: '*.example.com'}", "host"},

		// In contradiction, or without effect.
		"a prefix that neither image has":    {"{imagePrefix: a.example.com/b, operator: {image: {repository: c/d}}, sidecar: {image: {repository: c/e}}}", "imagePrefix would be ignored"},
		"egress without a policy":            {"sidecar: {networkPolicy: {enabled: false, egress: true}}", "sidecar.networkPolicy.egress"},
		"readers without a policy":           {"sidecar: {networkPolicy: {enabled: false, metricsFrom: [{}]}}", "without sidecar.networkPolicy.enabled"},
		"egress of the operator without one": {"networkPolicy: {egress: [{}]}", "without networkPolicy.enabled"},
		"no host that hosts does not give":   {"{allowEmptyHost: true, hosts: {a.example.com: [a]}}", "allowEmptyHost does nothing"},
		"no host that is not accepted":       {"hosts: {'': [a]}", `hosts: the key ""`},
		"a host for a namespace not served":  {"{watchNamespaces: [a], hosts: {a.example.com: [a, b]}}", "namespace b, which this installation does not serve"},
		"a collector out of reach":           {"sidecar: {networkPolicy: {egress: true}, tracing: {endpoint: 'http://192.0.2.1:4318'}}", "sidecar.networkPolicy.egress does not let the sidecars reach"},
		"a sample for no collector":          {"sidecar: {tracing: {samplingRatePerMillion: 1000}}", "does nothing without sidecar.tracing.endpoint"},
		"no ServiceAccount":                  {"serviceAccount: {create: false}", "serviceAccount.name is empty"},
		"annotations of another's one":       {"serviceAccount: {create: false, name: a, annotations: {b: c}}", "serviceAccount.annotations and labels do nothing"},
		"readers without roles":              {"{rbac: {create: false}, metrics: {readers: [{name: a, namespace: b}]}}", "metrics.readers needs rbac.create"},
		"definitions that are not kept":      {"crds: {enabled: false, keep: false}", "crds.keep is false"},
		"a budget of both kinds":             {"{replicaCount: 2, podDisruptionBudget: {minAvailable: 1, maxUnavailable: 1}}", "minAvailable and maxUnavailable, of which Kubernetes takes one"},
		"a budget that lets none go":         {"{replicaCount: 2, podDisruptionBudget: {minAvailable: 2}}", "holds up every drain"},
		"a budget that lets nobody go":       {"{replicaCount: 2, podDisruptionBudget: {maxUnavailable: 0}}", "holds up every drain"},
		"a budget for one pod":               {"podDisruptionBudget: {minAvailable: 1}", "set replicaCount to 2"},
		"a rolling update of Recreate":       {"strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}", "strategy.rollingUpdate does nothing"},
		"a flag that a value sets":           {"extraArgs: [--log-level=debug]", "--log-level is set by logLevel"},
		"a flag that the chart sets":         {"extraArgs: [--config=/a]", "--config is set by the chart itself"},
		"a variable twice":                   {"extraEnv: [{name: A, value: a}, {name: A, value: b}]", "A is there twice"},
		"a variable from two places":         {"extraEnv: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: b}}}]", "A has value and valueFrom"},
		"a volume of the chart's name":       {"extraVolumes: [{name: config, emptyDir: {}}]", "the name config is taken"},
		"a mount of no volume":               {"extraVolumeMounts: [{name: a, mountPath: /b}]", "extraVolumes has no volume a"},
		"a mount over the configuration":     {"{extraVolumes: [{name: a, emptyDir: {}}], extraVolumeMounts: [{name: a, mountPath: /etc/wechatendpoint/}]}", "/etc/wechatendpoint is where"},
		"an object without a kind":           {"extraObjects: [{metadata: {name: a}}]", "extraObjects[0] is no object"},
		"a certificate for plain HTTP":       {"metrics: {secure: false, certSecretName: a}", "metrics.certSecretName does nothing"},
		"a certificate that nobody sees":     {"{watchNamespaces: [a], metrics: {certSecretName: a}}", "do nothing with watchNamespaces"},
		"a Service that leads to a loopback": {"{watchNamespaces: [a], metrics: {service: {enabled: true}}}", "on the pod's own loopback"},
		"a monitor that reads a loopback":    {"{watchNamespaces: [a], metrics: {serviceMonitor: {enabled: true}}}", "on the pod's own loopback"},
		"readers of what all may read":       {"metrics: {secure: false, readers: [{name: a, namespace: b}]}", "metrics.readers does nothing"},
		"annotations of no Service":          {"metrics: {service: {annotations: {a: b}}}", "metrics.service.annotations and labels do nothing"},
		"a check of no certificate":          {"metrics: {secure: false, serviceMonitor: {enabled: true, tlsConfig: {serverName: a}}}", "tlsConfig does nothing"},
		"a monitor that nobody lets in":      {"{networkPolicy: {enabled: true}, metrics: {serviceMonitor: {enabled: true}}}", "networkPolicy.metricsFrom"},
		"a monitor of closed sidecars":       {"metrics: {podMonitor: {enabled: true}}", "sidecar.networkPolicy.metricsFrom"},
		"a host for no test":                 {"test: {enabled: false, host: a.example.com}", "test.host does nothing"},
		"a policy for a loopback":            {"{watchNamespaces: [a], networkPolicy: {enabled: true, metricsFrom: [{}]}}", "networkPolicy.metricsFrom does nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := template(t, "--values", written(t, test.values)); err == nil || !strings.Contains(err.Error(), test.names) {
				t.Errorf("%s: helm says %v; want %q in it", test.values, err, test.names)
			}
		})
	}
}

var digest = "sha256:" + strings.Repeat("0", 64)

// TestRightValuesPass, and are in what is rendered.
func TestRightValuesPass(t *testing.T) {
	for name, test := range map[string]struct {
		values string
		want   []string
	}{
		"a mirror's registry": {"global: {imageRegistry: mirror.example.com}",
			[]string{`image: "mirror.example.com/wechatendpoint/operator:`, `sidecarImage: "mirror.example.com/wechatendpoint/sidecar:`}},
		"a mirror's registry with a path": {"global: {imageRegistry: 'localhost:5000/a/b'}",
			[]string{`image: "localhost:5000/a/b/wechatendpoint/operator:`, `sidecarImage: "localhost:5000/a/b/wechatendpoint/sidecar:`}},
		"a registry for an image without one": {"{global: {imageRegistry: a.example.com}, operator: {image: {repository: wx/operator}}}",
			[]string{`image: "a.example.com/wx/operator:`}},
		"a registry for an image of localhost": {"{global: {imageRegistry: a.example.com}, sidecar: {image: {repository: localhost/sidecar}}}",
			[]string{`sidecarImage: "a.example.com/sidecar:`}},
		"where both images are": {"imagePrefix: registry.example.com/you",
			[]string{`image: "registry.example.com/you/operator:`, `sidecarImage: "registry.example.com/you/sidecar:`}},
		"one image elsewhere": {"{imagePrefix: registry.example.com/you, sidecar: {image: {repository: a.example.com/wx}}}",
			[]string{`image: "registry.example.com/you/operator:`, `sidecarImage: "a.example.com/wx:`}},
		"pull Secrets for both": {"{global: {imagePullSecrets: [{name: a}]}, imagePullSecrets: [b, {name: a}]}",
			[]string{"      imagePullSecrets:\n      - name: a\n      - name: b\n      securityContext", "    sidecar:\n      imagePullSecrets:\n      - name: a\n      - name: b\n"}},
		"none for the sidecars": {"{imagePullSecrets: [a], sidecar: {defaults: {imagePullSecrets: []}}}",
			[]string{"      imagePullSecrets:\n      - name: a\n      securityContext", "    sidecar:\n      imagePullSecrets: []\n"}},
		"a tag":                             {"sidecar: {image: {tag: '9'}}", []string{`/sidecar:9"`}},
		"a digest":                          {"sidecar: {image: {digest: '" + digest + "'}}", []string{"/sidecar@" + digest + `"`}},
		"a tag and a digest":                {"operator: {image: {tag: v9, digest: '" + digest + "'}}", []string{"/operator:v9@" + digest + `"`}},
		"how the sidecar's image is pulled": {"sidecar: {image: {pullPolicy: Always}}", []string{"sidecarImagePullPolicy: Always"}},
		"a whole number as a quantity":      {"resources: {limits: {cpu: 2, memory: 1e9}}", []string{"cpu: 2"}},
		"a user for the operator":           {"podSecurityContext: {runAsUser: 1000650000}", []string{"runAsNonRoot: true\n        runAsUser: 1000650000"}},
		"a budget in percent":               {"{replicaCount: 2, podDisruptionBudget: {maxUnavailable: 50%}}", []string{"maxUnavailable: 50%"}},
		"a budget of none that must stay":   {"{replicaCount: 2, podDisruptionBudget: {minAvailable: 0}}", []string{"minAvailable: 0"}},
		"any host and none":                 {"{allowEmptyHost: true, hosts: {'': [seed], '*': ['*'], 'a.b-c.example.com': [a]}}", []string{"      \"\":\n      - seed\n      '*':\n      - '*'\n"}},
		"labels and annotations everywhere": {"{commonLabels: {team: a}, commonAnnotations: {note: b}}",
			[]string{"    podLabels:\n      team: a", "    podAnnotations:\n      note: b", "    commonLabels:\n      team: a"}},
		"a null for the default":          {"extraEnv: null", []string{"kind: Deployment"}},
		"networks of both families":       {"loadBalancerNetworks: [0.0.0.0/0, '::/0', 'fd01::/64']", []string{"fd01::/64"}},
		"monitors without network policy": {"{sidecar: {networkPolicy: {enabled: false}}, metrics: {podMonitor: {enabled: true}, serviceMonitor: {enabled: true}}}", []string{"insecureSkipVerify: true", "kind: PodMonitor"}},
		"a host for the test": {"{hosts: {wx.example.com: [wechatendpoint-system]}, test: {host: wx.example.com}}",
			[]string{"    host: wx.example.com\n", "--url=http://wx.example.com/wechatendpoint-test"}},
		"the test of an installation for some namespaces": {"watchNamespaces: [team-a]",
			[]string{"--address=wechatendpoint-test-sidecar.team-a.svc:80", "kind: WeChatEndpoint\nmetadata:\n  name: wechatendpoint-test\n  namespace: team-a\n"}},
		"nobody reads the operator": {"networkPolicy: {enabled: true}", []string{"policyTypes:\n  - Ingress\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rendered, err := template(t, "--values", written(t, test.values))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if !strings.Contains(rendered, want) {
					t.Errorf("%s: what helm renders has no %q", test.values, want)
				}
			}
		})
	}
}

// TestBesideOtherCharts: as a part of another chart it takes what that one gives to all, also what it does not know.
func TestBesideOtherCharts(t *testing.T) {
	whole, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}
	umbrella := t.TempDir()
	for path, text := range map[string]string{
		"Chart.yaml":  "apiVersion: v2\nname: platform\nversion: 1.0.0\ndependencies: [{name: wechat-endpoint, version: '>=0.0.0-0'}]",
		"values.yaml": "global: {imageRegistry: mirror.example.com, imagePullSecrets: [a], storageClass: fast}",
	} {
		if err := os.WriteFile(filepath.Join(umbrella, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(umbrella, "charts"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(whole, filepath.Join(umbrella, "charts", chart)); err != nil {
		t.Fatal(err)
	}
	rendered, err := templateOf(t, umbrella)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`image: "mirror.example.com/wechatendpoint/operator:`, "imagePullSecrets:\n      - name: a"} {
		if !strings.Contains(rendered, want) {
			t.Errorf("what helm renders has no %q", want)
		}
	}
}

func written(t *testing.T, values string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
