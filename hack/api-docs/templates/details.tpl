{{- define "gvDetails" -}}
# The API: {{ .GroupVersionString }}

<!-- made from api/ by make generate -->

Every type and field as the Go code has them, for looking up. What they mean together, with defaults by platform and the bounds that span fields: [WeChatEndpoint](spec/wechatendpoint.md), [its status](status.md) and [WeChatGateway](spec/wechatgateway.md). `kubectl explain wxe.spec` shows the
same on a cluster.

The kinds are
{{- range $i, $kind := .SortedKinds }}{{ if $i }} and{{ end }} {{ $.TypeForKind $kind | markdownRenderTypeLink }}{{ end }}. A field without *required* may be left out. Beside the bounds here, the API server checks rules that span fields; its message says what to write instead.
{{ range .SortedTypes }}{{ template "type" . }}{{ end }}
{{- end -}}
