{{/* An egress rule from peers and port; without peers any address. */}}
{{- define "placet.egressTo" -}}
{{- with .peers }}
to: {{ toJson . }}
{{- end }}
ports: [{ port: {{ .port }} }]
{{- end }}
