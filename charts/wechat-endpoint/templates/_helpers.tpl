{{- define "wechat-endpoint.name" -}}
wechatendpoint-operator
{{- end }}

{{- define "wechat-endpoint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wechat-endpoint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wechat-endpoint.ownLabels" -}}
{{ include "wechat-endpoint.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wechatendpoint
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "wechat-endpoint.labels" -}}
{{ toYaml (merge (include "wechat-endpoint.ownLabels" . | fromYaml) .Values.commonLabels) }}
{{- end }}

{{- /* wechat-endpoint.metadata takes the root, a name, and what an object has besides: labels, annotations, and cluster: true if it is in no namespace. */ -}}
{{- define "wechat-endpoint.metadata" -}}
{{- $root := index . 0 }}{{ $more := dict }}{{ if gt (len .) 2 }}{{ $more = index . 2 }}{{ end -}}
name: {{ index . 1 }}
{{- if not $more.cluster }}
namespace: {{ $more.namespace | default $root.Release.Namespace }}
{{- end }}
labels:
  {{- toYaml (merge (dict) ($more.labels | default dict) (include "wechat-endpoint.ownLabels" $root | fromYaml) $root.Values.commonLabels) | nindent 2 }}
{{- with merge (dict) ($more.annotations | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "wechat-endpoint.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (include "wechat-endpoint.name" .) }}
{{- end }}

{{- define "wechat-endpoint.subject" -}}
- kind: ServiceAccount
  name: {{ include "wechat-endpoint.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{- /*
wechat-endpoint.image takes the root and whose image it is: operator or sidecar. The first part of a name is a registry where it has a dot or a
port. Where neither a tag nor a digest is set, the tag is the chart's appVersion.
*/ -}}
{{- define "wechat-endpoint.image" -}}
{{- $root := index . 0 }}{{ $image := (index $root.Values (index . 1)).image }}
{{- $name := $image.repository | default (printf "%s/%s" $root.Values.imagePrefix (index . 1)) }}
{{- with $root.Values.global.imageRegistry }}
{{- $first := splitList "/" $name | first }}
{{- if and (contains "/" $name) (or (contains "." $first) (contains ":" $first) (eq "localhost" $first)) }}
{{- $name = trimPrefix (printf "%s/" $first) $name }}
{{- end }}
{{- $name = printf "%s/%s" . $name }}
{{- end }}
{{- $tag := $image.tag }}
{{- if not $image.digest }}{{ $tag = $tag | default $root.Chart.AppVersion }}{{ end -}}
{{ $name }}
{{- with $tag }}:{{ . }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* wechat-endpoint.pullSecrets takes a list of names, and of maps with a name, and writes maps. */ -}}
{{- define "wechat-endpoint.pullSecrets" -}}
{{- $names := list }}
{{- range . }}{{ $names = append $names (kindIs "map" . | ternary . (dict "name" .)) }}{{ end -}}
{{- toYaml ($names | uniq) }}
{{- end }}

{{- define "wechat-endpoint.allPullSecrets" -}}
{{ include "wechat-endpoint.pullSecrets" (concat .Values.global.imagePullSecrets .Values.imagePullSecrets) }}
{{- end }}

{{- /* wechat-endpoint.config is what the operator reads: the choices of the installation. */ -}}
{{- define "wechat-endpoint.config" -}}
sidecarImage: {{ include "wechat-endpoint.image" (list . "sidecar") | quote }}
sidecarImagePullPolicy: {{ .Values.sidecar.image.pullPolicy }}
sidecarMode: {{ .Values.sidecar.mode }}
{{- with .Values.commonLabels }}
commonLabels:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) .Values.sidecar.podLabels .Values.commonLabels }}
podLabels:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with merge (dict) .Values.sidecar.podAnnotations .Values.commonAnnotations }}
podAnnotations:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.sidecar.podSecurityContext }}
podSecurityContext:
{{- toYaml . | nindent 2 }}
{{- end }}
allowEmptyHost: {{ .Values.allowEmptyHost }}
{{- with .Values.allowedIngressClasses }}
allowedIngressClasses:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.loadBalancerNetworks }}
loadBalancerNetworks:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.hosts }}
hosts:
{{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.allowedIngressAnnotations }}
allowedIngressAnnotations:
{{- toYaml . | nindent 0 }}
{{- end }}
operatorNamespace: {{ .Release.Namespace | quote }}
{{- if ne .Values.sidecar.lane "Strict" }}
sidecarLane: {{ .Values.sidecar.lane }}
{{- end }}
{{- with .Values.sidecar.tracing }}
{{- $rate := int64 (.samplingRatePerMillion | default 1000000) }}
{{- if .endpoint }}
{{- if and $.Values.sidecar.networkPolicy.egress (not (regexMatch "^http://[^.:]+[.][^.:]+[.]svc[.:]" .endpoint)) }}
{{- fail "sidecar.networkPolicy.egress does not let the sidecars reach sidecar.tracing.endpoint: name a collector in the cluster by its Service, http://NAME.NAMESPACE.svc:4318, or set egress to false" }}
{{- end }}
tracing:
  endpoint: {{ .endpoint | quote }}
  samplingRatePerMillion: {{ $rate }}
{{- else if ne $rate 1000000 }}
{{- fail "sidecar.tracing.samplingRatePerMillion does nothing without sidecar.tracing.endpoint: name a collector, or remove it" }}
{{- end }}
{{- end }}
networkPolicy:
  {{- toYaml .Values.sidecar.networkPolicy | nindent 2 }}
rollout:
  {{- toYaml .Values.sidecar.rollout | nindent 2 }}
{{- $defaults := deepCopy .Values.sidecar.defaults }}
{{- $secrets := include "wechat-endpoint.allPullSecrets" . | fromYamlArray }}
{{- if hasKey $defaults "imagePullSecrets" }}{{ $secrets = include "wechat-endpoint.pullSecrets" $defaults.imagePullSecrets | fromYamlArray }}{{ end }}
{{- if or $secrets (hasKey $defaults "imagePullSecrets") }}{{ $_ := set $defaults "imagePullSecrets" $secrets }}{{ end }}
{{- with $defaults }}
sidecar:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* wechat-endpoint.cel writes a value for an admission policy, where all that stands in one map or list must be of one type. */ -}}
{{- define "wechat-endpoint.cel" -}}
{{- $items := list }}
{{- if kindIs "map" . }}
{{- range $key, $value := . }}{{ $items = append $items (printf "%s: %s" (toJson $key) (include "wechat-endpoint.cel" $value)) }}{{ end -}}
dyn({{ printf "{%s}" (join ", " $items) }})
{{- else if kindIs "slice" . }}
{{- range . }}{{ $items = append $items (include "wechat-endpoint.cel" .) }}{{ end -}}
dyn({{ printf "[%s]" (join ", " $items) }})
{{- else -}}
dyn({{ toJson . }})
{{- end }}
{{- end }}

{{- /* wechat-endpoint.guarded is "true" where readers of the metrics are asked who they are, which takes rights in the whole cluster. */ -}}
{{- define "wechat-endpoint.guarded" -}}
{{- if and .Values.metrics.secure (not .Values.watchNamespaces) }}true{{ end }}
{{- end }}

{{- /* wechat-endpoint.rules are the operator's rules, without those for what belongs to no namespace, or that it does not need. */ -}}
{{- define "wechat-endpoint.rules" -}}
{{- $role := .Files.Get "files/role.yaml" | fromYaml }}
{{- $without := list }}
{{- if not (include "wechat-endpoint.guarded" .) }}{{ $without = concat $without (list "tokenreviews" "subjectaccessreviews") }}{{ end }}
{{- if .Values.watchNamespaces }}{{ $without = append $without "ingressclasses" }}{{ end }}
{{- $rules := list }}
{{- range required "files/role.yaml is missing: run hack/chart-crd.sh" $role.rules }}
{{- $kept := list }}
{{- range .resources }}{{ if not (has . $without) }}{{ $kept = append $kept . }}{{ end }}{{ end }}
{{- if $kept }}{{ $rules = append $rules (set . "resources" $kept) }}{{ end }}
{{- end }}
{{- toYaml $rules }}
{{- end }}

{{- /* wechat-endpoint.scrape is what a ServiceMonitor and a PodMonitor have in common. */ -}}
{{- define "wechat-endpoint.scrape" -}}
{{- $chosen := dict }}
{{- range list "interval" "scrapeTimeout" "relabelings" "metricRelabelings" }}
{{- if index $ . }}{{ $_ := set $chosen . (index $ .) }}{{ end }}
{{- end }}
{{- with $chosen }}{{ toYaml . }}{{ end }}
{{- end }}

{{- /* wechat-endpoint.tested is not empty where there is a test: where a host is free for its endpoint. */ -}}
{{- define "wechat-endpoint.tested" -}}
{{- $hosts := .Values.hosts }}
{{- if and .Values.test.enabled (or (not $hosts) (hasKey $hosts "*") (ne .Values.test.host "wechatendpoint-test.invalid")) }}true{{ end }}
{{- end }}
