{{/* The scrape endpoint of a PodMonitor or a ServiceMonitor. */}}
{{- define "entrupy-signature-proxy.endpoint" -}}
- port: admin
  path: /metrics
  {{- include "entrupy-signature-proxy.pass" (dict "from" . "keys" (list "interval" "scrapeTimeout" "relabelings" "metricRelabelings") "indent" 2) }}
{{- end -}}

{{/* The labels of the pods; in mode library the user's chart sets them. */}}
{{- define "entrupy-signature-proxy.podLabels" -}}
{{- if eq .Values.mode "library" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- else -}}
{{ include "entrupy-signature-proxy.selectorLabels" . }}
{{- end -}}
{{- end -}}

{{/* Labels by which Prometheus knows this release's pods, as the operator sets them; empty without a monitor. */}}
{{- define "entrupy-signature-proxy.job" -}}
{{- $own := include "entrupy-signature-proxy.ownName" . -}}
{{- $monitor := .Values.metrics.podMonitor -}}
{{- $job := "" -}}
{{- if $monitor.enabled }}{{ $job = printf "%s/%s" ($monitor.namespace | default (include "entrupy-signature-proxy.namespace" .)) $own -}}
{{- else if (.Values.metrics.serviceMonitor).enabled }}{{ $job = include "entrupy-signature-proxy.metricsService" . }}{{ end -}}
{{- if $job }}namespace="{{ include "entrupy-signature-proxy.namespace" . }}",job="{{ $job }}"{{ end -}}
{{- end -}}

{{- define "entrupy-signature-proxy.metricsService" -}}
{{- printf "%s-metrics" (include "entrupy-signature-proxy.ownName" . | trunc 55 | trimSuffix "-") -}}
{{- end -}}
