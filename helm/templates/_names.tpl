{{/* Names and labels. Every object is named after the release, since its Deployment is the user's app. */}}

{{/* A release's name may have dots, a Service's may not. Modes without a Service keep the release's name. */}}
{{- define "entrupy-signature-proxy.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name }}{{ $name = ternary (.Release.Name | replace "." "-") .Release.Name (eq (include "entrupy-signature-proxy.isWorkload" .) "true") }}{{ end -}}
{{- $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A name that cannot clash with the app's own objects, also within the user's chart. */}}
{{- define "entrupy-signature-proxy.ownName" -}}
{{- printf "%s-signature-proxy" (include "entrupy-signature-proxy.fullname" . | trunc 47 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrupy-signature-proxy.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "entrupy-signature-proxy.selectorLabels" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
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

{{/*
An object's metadata: the release's labels and annotations, with its own over them. `namespace`: another than the
release's. `scope`: "cluster" for an object without one.
*/}}
{{- define "entrupy-signature-proxy.metadata" -}}
metadata:
  name: {{ .name | default (include "entrupy-signature-proxy.fullname" .root) | quote }}
  {{- if ne (.scope | default "") "cluster" }}
  namespace: {{ .namespace | default (include "entrupy-signature-proxy.namespace" .root) | quote }}
  {{- end }}
  labels:
    {{- mergeOverwrite (include "entrupy-signature-proxy.labels" .root | fromYaml) (deepCopy (.labels | default dict)) | toYaml | nindent 4 }}
  {{- with mergeOverwrite (deepCopy (.root.Values.commonAnnotations | default dict)) (deepCopy (.annotations | default dict)) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* What Kubernetes takes as it is: those of `keys` that have a value in `from`, each below a line break. */}}
{{- define "entrupy-signature-proxy.pass" -}}
{{- $given := dict -}}
{{- range $key := .keys }}{{ with get $.from $key }}{{ $_ := set $given $key . }}{{ end }}{{ end -}}
{{- with $given }}{{ toYaml . | nindent $.indent }}{{ end -}}
{{- end -}}

{{/* Where and how a pod runs, the one of `helm test` too. */}}
{{- define "entrupy-signature-proxy.placement" -}}
{{- $keys := list "dnsConfig" "dnsPolicy" "hostAliases" "nodeSelector" "priorityClassName" "runtimeClassName" "schedulerName" "tolerations" -}}
{{- include "entrupy-signature-proxy.pass" (dict "from" .from "keys" $keys "indent" .indent) -}}
{{- end -}}

{{/* The registry prefixes a repository that names none. A first segment with a dot or a port is a host. */}}
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

{{/* The image's name without registry, tag and digest: a mirror keeps it. */}}
{{- define "entrupy-signature-proxy.imageName" -}}
{{- .Values.image.repository | splitList "/" | last -}}
{{- end -}}

{{- define "entrupy-signature-proxy.pullSecrets" -}}
{{- include "entrupy-signature-proxy.secretList" (concat ((.Values.global).imagePullSecrets | default list) (.Values.image.pullSecrets | default list)) -}}
{{- end -}}

{{/* A list, empty if there are none. Plain names are accepted too, as in other charts. */}}
{{- define "entrupy-signature-proxy.secretList" -}}
{{- $secrets := list -}}
{{- range . }}{{ $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) }}{{ end -}}
{{- with $secrets | uniq }}{{ toYaml . }}{{ end -}}
{{- end -}}

{{/* A name, an address or a list, in which the user may have used Helm's own templates, as other charts allow. */}}
{{- define "entrupy-signature-proxy.templated" -}}
{{- tpl (kindIs "string" .value | ternary .value (toYaml .value)) .root -}}
{{- end -}}

{{/* Empty for the namespace's default account. */}}
{{- define "entrupy-signature-proxy.serviceAccountName" -}}
{{- include "entrupy-signature-proxy.templated" (dict "root" . "value" (.Values.serviceAccount.name | default "")) | default (ternary (include "entrupy-signature-proxy.fullname" .) "" (.Values.serviceAccount.create | default false)) -}}
{{- end -}}

{{- define "entrupy-signature-proxy.configMapName" -}}
{{- include "entrupy-signature-proxy.templated" (dict "root" . "value" (.Values.existingConfigMap | default "")) | default (include "entrupy-signature-proxy.ownName" .) -}}
{{- end -}}

{{- define "entrupy-signature-proxy.secretName" -}}
{{- include "entrupy-signature-proxy.templated" (dict "root" . "value" (.Values.secret.existingSecret | default "")) | default (include "entrupy-signature-proxy.ownName" .) -}}
{{- end -}}

{{/* The Secret with the password of `store`, once or redelivery; empty if there is none. */}}
{{- define "entrupy-signature-proxy.passwordSecret" -}}
{{- include "entrupy-signature-proxy.templated" (dict "root" .root "value" ((get .root.Values .store | default dict).existingSecret | default "")) -}}
{{- end -}}

{{/* "true" if the chart runs the demo upstream, the only case in which it generates a secret. */}}
{{- define "entrupy-signature-proxy.isDemo" -}}
{{- if and (eq .Values.mode "sidecar") (not .Values.app.image) (not .Values.upstream.url) }}true{{ end -}}
{{- end -}}

{{/* "true" if the chart has its own pods and Service. */}}
{{- define "entrupy-signature-proxy.isWorkload" -}}
{{- if has .Values.mode (list "sidecar" "gateway") }}true{{ end -}}
{{- end -}}

{{/* "true" if `helm test` has something to run. */}}
{{- define "entrupy-signature-proxy.hasTest" -}}
{{- $http := eq (include "entrupy-signature-proxy.scheme" .) "http" -}}
{{- if and .Values.test.enabled $http (include "entrupy-signature-proxy.samplePath" .) (include "entrupy-signature-proxy.isWorkload" .) }}true{{ end -}}
{{- end -}}
