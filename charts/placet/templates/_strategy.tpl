{{/* Never one more than there are partitions: the one too many would never get ready. */}}
{{- define "placet.consumerStrategy" -}}
type: RollingUpdate
rollingUpdate: { maxSurge: 0, maxUnavailable: 1 }
{{- end }}
