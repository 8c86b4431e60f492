{{- define "type" -}}
{{- if markdownShouldRenderType . }}
## {{ .Name }}

{{ .Doc | replace "\n\n" "\a" | replace "\n" " " | replace "\a" "\n\n" }}
{{- if .References }}

Used by
{{- range $i, $reference := .SortedReferences }}{{ if $i }},{{ end }} {{ markdownRenderTypeLink $reference }}{{ end }}.
{{- end }}
{{- if and .IsAlias (not .EnumValues) }}

It is a {{ markdownRenderTypeLink .UnderlyingType }}{{ range .Validation }}, {{ . }}{{ end }}.
{{- end }}
{{ if .Members }}
| field | type | what it is | bounds | default |
|---|---|---|---|---|
{{ if .GVK -}}
| `apiVersion` | string | `{{ .GVK.Group }}/{{ .GVK.Version }}` | required | |
| `kind` | string | `{{ .GVK.Kind }}` | required | |
{{ end -}}
{{ range .Members -}}
| `{{ .Name }}` | {{ markdownRenderType .Type }} | {{ .Doc | replace "\n" " " | replace "|" "\\|" }} | {{ if .Markers.required }}required{{ if .Validation }}; {{ end }}{{ end }}{{ join "; " .Validation | replace "|" "\\|" }} | {{ if .Default }}`{{ .Default }}`{{ end }} |
{{ end -}}
{{ end }}
{{- if .EnumValues }}
| value | what it is |
|---|---|
{{ range .EnumValues -}}
| `{{ .Name }}` | {{ .Doc | replace "\n" " " | replace "|" "\\|" }} |
{{ end -}}
{{ end }}
{{- end }}
{{- end -}}
