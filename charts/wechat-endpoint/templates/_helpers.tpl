{{- define "wechat-endpoint.name" -}}
wechatendpoint-operator
{{- end }}

{{- define "wechat-endpoint.selectorLabels" -}}
app.kubernetes.io/name: {{ include "wechat-endpoint.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wechat-endpoint.labels" -}}
{{ include "wechat-endpoint.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: wechatendpoint
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* wechat-endpoint.image takes a list of the image's values and the tag to use where they name neither a tag nor a digest. */ -}}
{{- define "wechat-endpoint.image" -}}
{{- $image := index . 0 }}
{{- $tag := $image.tag }}
{{- if not $image.digest }}{{ $tag = $tag | default (index . 1) }}{{ end -}}
{{ $image.repository }}
{{- with $tag }}:{{ . }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* wechat-endpoint.config is what the operator reads: the choices of the installation. */ -}}
{{- define "wechat-endpoint.config" -}}
sidecarImage: {{ include "wechat-endpoint.image" (list .Values.sidecar.image .Chart.AppVersion) | quote }}
sidecarMode: {{ .Values.sidecar.mode }}
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
networkPolicy:
  {{- toYaml .Values.sidecar.networkPolicy | nindent 2 }}
rollout:
  {{- toYaml .Values.sidecar.rollout | nindent 2 }}
{{- with .Values.sidecar.defaults }}
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
