{{/* Names and labels. Every object is named after the release, as its Deployment is the user's app. */}}

{{/* A Service's name has no dots, a release's may. Modes without a Service keep the name that they had. */}}
{{- define "entrupy-signature-proxy.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name }}{{ $name = ternary (.Release.Name | replace "." "-") .Release.Name (eq (include "entrupy-signature-proxy.isWorkload" .) "true") }}{{ end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Of what stands beside an app that has the plain name: also safe within the user's own chart. */}}
{{- define "entrupy-signature-proxy.ownName" -}}
{{- printf "%s-signature-proxy" (include "entrupy-signature-proxy.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrupy-signature-proxy.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
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

{{/* A registry goes before a repository that names none; the first segment is a host where it has a dot or a port. */}}
{{- define "entrupy-signature-proxy.image" -}}
{{- $image := .Values.image -}}
{{- $registry := (.Values.global).imageRegistry | default $image.registry | default "" | trimSuffix "/" -}}
{{- $named := regexMatch "^([^/]*[.:][^/]*|localhost)/" $image.repository -}}
{{- $repository := ternary (printf "%s/%s" $registry $image.repository) $image.repository (and (ne $registry "") (not $named)) -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The image's name without registry, tag and digest: what a mirror leaves as it is. */}}
{{- define "entrupy-signature-proxy.imageName" -}}
{{- .Values.image.repository | splitList "/" | last -}}
{{- end -}}

{{/* A list, empty where there are none; names alone are taken too, as other charts take them. */}}
{{- define "entrupy-signature-proxy.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat ((.Values.global).imagePullSecrets | default list) (.Values.image.pullSecrets | default list) -}}
  {{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with $secrets | uniq }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* Empty where the namespace's default is used. */}}
{{- define "entrupy-signature-proxy.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "entrupy-signature-proxy.fullname" .) "" (.Values.serviceAccount.create | default false)) -}}
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

{{/*
How many pods to ask for; empty where Kubernetes or an autoscaler knows better. A number that runs already stays, or an
upgrade would take a scaled app back. `helm template` and Argo CD cannot look, so they ask for none (gateway: 2).
*/}}
{{- define "entrupy-signature-proxy.replicas" -}}
{{- $live := (lookup "apps/v1" "Deployment" (include "entrupy-signature-proxy.namespace" .) (include "entrupy-signature-proxy.fullname" .)).spec | default dict -}}
{{- if not (or .Values.autoscaling.enabled (kindIs "invalid" .Values.replicaCount)) }}{{ int .Values.replicaCount -}}
{{- else if hasKey $live "replicas" }}{{ int $live.replicas -}}
{{- else if and (eq .Values.mode "gateway") (not .Values.autoscaling.enabled) }}2{{ end -}}
{{- end -}}

{{/* "true" where more than one pod runs, or may. */}}
{{- define "entrupy-signature-proxy.isSeveral" -}}
{{- if or .Values.autoscaling.enabled (gt (include "entrupy-signature-proxy.replicas" . | default "1" | int) 1) }}true{{ end -}}
{{- end -}}

{{/* "true" where the chart has pods and a Service of its own. */}}
{{- define "entrupy-signature-proxy.isWorkload" -}}
{{- if has .Values.mode (list "sidecar" "gateway") }}true{{ end -}}
{{- end -}}

{{/* "true" where `helm test` has something to run. */}}
{{- define "entrupy-signature-proxy.hasTest" -}}
{{- $http := eq (include "entrupy-signature-proxy.scheme" .) "http" -}}
{{- if and .Values.test.enabled $http (include "entrupy-signature-proxy.samplePath" .) (include "entrupy-signature-proxy.isWorkload" .) }}true{{ end -}}
{{- end -}}
