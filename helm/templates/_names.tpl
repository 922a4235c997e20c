{{/* Names and labels. Every object is named after the release, as its Deployment is the user's app. */}}

{{- define "entrupy-signature-proxy.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what stands beside an app that has the plain name: also safe within the user's own chart. */}}
{{- define "entrupy-signature-proxy.ownName" -}}
{{- printf "%s-signature-proxy" (include "entrupy-signature-proxy.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrupy-signature-proxy.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "entrupy-signature-proxy.labels" -}}
{{ include "entrupy-signature-proxy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "entrupy-signature-proxy.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "entrupy-signature-proxy.configMapName" -}}
{{- .Values.existingConfigMap | default (include "entrupy-signature-proxy.ownName" .) -}}
{{- end -}}

{{- define "entrupy-signature-proxy.secretName" -}}
{{- .Values.secret.existingSecret | default (include "entrupy-signature-proxy.ownName" .) -}}
{{- end -}}

{{/* "true" where the chart runs the demo upstream, which is the one case in which it makes up a secret. */}}
{{- define "entrupy-signature-proxy.isDemo" -}}
{{- if and (eq .Values.mode "sidecar") (not .Values.app.image) (not .Values.upstream.url) }}true{{ end -}}
{{- end -}}

{{/* How many pods, or at least how many with autoscaling. */}}
{{- define "entrupy-signature-proxy.replicas" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.minReplicas -}}
{{- else if kindIs "invalid" .Values.replicaCount }}{{ ternary 2 1 (eq .Values.mode "gateway") -}}
{{- else }}{{ int .Values.replicaCount }}{{ end -}}
{{- end -}}

{{/* "true" where the chart has pods and a Service of its own. */}}
{{- define "entrupy-signature-proxy.isWorkload" -}}
{{- if has .Values.mode (list "sidecar" "gateway") }}true{{ end -}}
{{- end -}}
