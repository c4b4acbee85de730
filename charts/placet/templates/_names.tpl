{{- define "placet.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{/* What a selector may name: never changes. Takes top, component. */}}
{{- define "placet.selector" -}}
app.kubernetes.io/name: placet
app.kubernetes.io/instance: {{ .top.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "placet.labels" -}}
{{ include "placet.selector" . }}
app.kubernetes.io/version: {{ .top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .top.Release.Service }}
helm.sh/chart: {{ .top.Chart.Name }}-{{ .top.Chart.Version }}
{{- end }}

{{- define "placet.image" -}}
{{ .top.Values.image.prefix }}{{ .image }}:{{ .top.Values.image.tag | default .top.Chart.AppVersion }}
{{- end }}
