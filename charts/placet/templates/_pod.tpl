{{/* Who a container is: nobody, on a file system it cannot write. */}}
{{- define "placet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001 # so that it can read its Secrets' files
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "placet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* Never a token of the API server's: nothing here calls it. And no service links: Kubernetes
     would set PLACET_..._PORT variables, which are the services' own names. */}}
{{- define "placet.podCommon" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .top.Values.image.pullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
securityContext:
  {{- include "placet.podSecurity" . | nindent 2 }}
{{- end }}

{{/* Variables from the service's own Secret. Takes top, service, names. */}}
{{- define "placet.secretEnv" -}}
{{- range .names }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $.top.Values.secretPrefix }}-{{ $.service }}-env, key: {{ . }} } }
{{- end }}
{{- end }}

{{/* ServiceAccount, Service, Deployment and PodDisruptionBudget of one service.
     Takes top, component, service (names its Secrets), image, values, replicas (none: somebody
     else scales it), strategy; optional command, env, secretEnv, configuration, ports, mounts,
     volumes. */}}
{{- define "placet.workload" -}}
{{- $name := printf "%s-%s" (include "placet.name" .top) .component }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- include "placet.labels" . | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "placet.labels" . | nindent 4 }}
spec:
  selector: {{- include "placet.selector" . | nindent 4 }}
  ports:
    - { name: ops, port: 8080, targetPort: ops }
    {{- range .ports }}
    - { name: {{ .name }}, port: {{ .port }}, targetPort: {{ .name }} }
    {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "placet.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1 # of one, too: a drain must not wait for ever, and every service takes up where it was
  selector:
    matchLabels: {{- include "placet.selector" . | nindent 6 }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "placet.labels" . | nindent 4 }}
spec:
  {{- with .replicas }}
  replicas: {{ . }}
  {{- end }}
  strategy: {{- toYaml .strategy | nindent 4 }}
  selector:
    matchLabels: {{- include "placet.selector" . | nindent 6 }}
  template:
    metadata:
      labels: {{- include "placet.labels" . | nindent 8 }}
      annotations:
        checksum/configuration: {{ toJson .top.Values.configuration | sha256sum }}
    spec:
      serviceAccountName: {{ $name }}
      {{- include "placet.podCommon" . | nindent 6 }}
      terminationGracePeriodSeconds: 15
      containers:
        - name: {{ .service }}
          image: {{ include "placet.image" . }}
          imagePullPolicy: {{ .top.Values.image.pullPolicy }}
          {{- with .command }}
          command: {{ toJson . }}
          {{- end }}
          env:
            - { name: PLACET_OPS_HOST, value: "0.0.0.0" }
            - { name: PLACET_OPS_PORT, value: "8080" }
            - { name: PLACET_KAFKA, value: {{ .top.Values.kafka.bootstrap | quote }} }
            - { name: PLACET_LOG_LEVEL, value: {{ .top.Values.logLevel }} }
            - { name: PLACET_INSTALLATION_KEY_FILE, value: /var/lib/placet/{{ .service }}/installation.key }
            {{- range $variable, $text := .env }}
            - { name: {{ $variable }}, value: {{ $text | quote }} }
            {{- end }}
            {{- range $variable, $text := .values.env }}
            - { name: {{ $variable }}, value: {{ $text | quote }} }
            {{- end }}
            {{- include "placet.secretEnv" (dict "top" .top "service" .service "names" .secretEnv) | nindent 12 }}
          ports:
            - { name: ops, containerPort: 8080 }
            {{- range .ports }}
            - { name: {{ .name }}, containerPort: {{ .port }} }
            {{- end }}
          # Servers may be away when it starts, and it then waits: alive, but not ready.
          startupProbe: { httpGet: { path: /healthz, port: ops }, periodSeconds: 2, failureThreshold: 60 }
          livenessProbe: { httpGet: { path: /healthz, port: ops }, periodSeconds: 10, timeoutSeconds: 3 }
          readinessProbe: { httpGet: { path: /readyz, port: ops }, periodSeconds: 5, timeoutSeconds: 3 }
          resources: {{- toYaml .values.resources | nindent 12 }}
          securityContext: {{- include "placet.containerSecurity" . | nindent 12 }}
          volumeMounts:
            - { name: tmp, mountPath: /tmp }
            - { name: files, mountPath: /var/lib/placet/{{ .service }}, readOnly: true }
            {{- if .configuration }}
            - { name: configuration, mountPath: /etc/placet, readOnly: true }
            {{- end }}
            {{- with .mounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
      volumes:
        - { name: tmp, emptyDir: { sizeLimit: 64Mi } }
        - { name: files, secret: { secretName: {{ .top.Values.secretPrefix }}-{{ .service }}, defaultMode: 0440 } }
        {{- if .configuration }}
        - { name: configuration, configMap: { name: {{ include "placet.name" .top }} } }
        {{- end }}
        {{- with .volumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
{{- end }}
