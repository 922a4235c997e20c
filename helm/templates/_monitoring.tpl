{{/* What a PodMonitor and a ServiceMonitor say alike of how to scrape. */}}
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

{{/* The labels of the pods: in mode library your chart made them. */}}
{{- define "entrupy-signature-proxy.podLabels" -}}
{{- if eq .Values.mode "library" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- else -}}
{{ include "entrupy-signature-proxy.selectorLabels" . }}
{{- end -}}
{{- end -}}

{{/* "true" where the rules (or the dashboard) are made: asked for, or mode monitoring, which is for them. */}}
{{- define "entrupy-signature-proxy.makes" -}}
{{- $enabled := (get .root.Values.metrics .name).enabled -}}
{{- if kindIs "invalid" $enabled }}{{ $enabled = eq .root.Values.mode "monitoring" }}{{ end -}}
{{- if $enabled }}true{{ end -}}
{{- end -}}
