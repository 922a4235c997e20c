{{/* The app of mode sidecar: the user's, or the demo upstream. */}}
{{- define "entrupy-signature-proxy.app" -}}
{{- $app := .Values.app -}}
- name: app
  {{- if $app.image }}
  image: {{ $app.image | quote }}
  imagePullPolicy: {{ $app.pullPolicy }}
  {{- else }}
  image: {{ include "entrupy-signature-proxy.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- end }}
  {{- with $app.args | default (ternary (list) (list "demo" "--upstream-only" "--port" (toString $app.port) "--host" "127.0.0.1") (ne $app.image "")) }}
  args:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- include "entrupy-signature-proxy.pass" (dict "from" $app "keys" (list "command" "env" "envFrom" "startupProbe" "readinessProbe" "livenessProbe" "volumeMounts") "indent" 2) }}
  {{- with include "entrupy-signature-proxy.appLifecycle" . }}
  lifecycle:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $app.resources | default (ternary (dict) .Values.resources (ne $app.image "")) }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml (ternary $app.securityContext .Values.securityContext (ne $app.image "")) | nindent 4 }}
{{- end -}}

{{/* Seconds for which the app sleeps before it stops: as long as the proxy still serves. */}}
{{- define "entrupy-signature-proxy.sleep" -}}
{{- $given := .Values.app.preStopSleepSeconds -}}
{{- if kindIs "invalid" $given }}{{ include "entrupy-signature-proxy.delay" . }}{{ else }}{{ int $given }}{{ end -}}
{{- end -}}

{{/* The app's own preStop replaces the sleep. Without either, rollouts lose requests: load balancers notice too late. */}}
{{- define "entrupy-signature-proxy.appLifecycle" -}}
{{- $lifecycle := deepCopy (.Values.app.lifecycle | default dict) -}}
{{- $seconds := include "entrupy-signature-proxy.sleep" . | int -}}
{{- if and $seconds (not $lifecycle.preStop) (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) -}}
  {{- $_ := set $lifecycle "preStop" (dict "sleep" (dict "seconds" $seconds)) -}}
{{- end -}}
{{- with $lifecycle }}{{ toYaml . }}{{ end -}}
{{- end -}}
