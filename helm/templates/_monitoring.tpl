{{/* The scrape endpoint of a PodMonitor or a ServiceMonitor. */}}
{{- define "entrupy-signature-proxy.endpoint" -}}
- port: admin
  path: /metrics
  {{- range $name := list "interval" "scrapeTimeout" }}
  {{- with get $ $name }}
  {{ $name }}: {{ . }}
  {{- end }}
  {{- end }}
  {{- range $name := list "relabelings" "metricRelabelings" }}
  {{- with get $ $name }}
  {{ $name }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* The labels of the pods; in mode library the user's chart sets them. */}}
{{- define "entrupy-signature-proxy.podLabels" -}}
{{- if eq .Values.mode "library" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- else -}}
{{ include "entrupy-signature-proxy.selectorLabels" . }}
{{- end -}}
{{- end -}}

{{/* "true" if the chart creates the rules (or the dashboard): when enabled, and by default in mode monitoring. */}}
{{- define "entrupy-signature-proxy.makes" -}}
{{- $enabled := (get .root.Values.metrics .name).enabled -}}
{{- if kindIs "invalid" $enabled }}{{ $enabled = eq .root.Values.mode "monitoring" }}{{ end -}}
{{- if $enabled }}true{{ end -}}
{{- end -}}
