{{/*
The number of pods. A field in a manifest belongs to Helm: a rollback sets it again, and under Helm 4 fails if anything
else has set it since. So the chart leaves the number out wherever the user gave none, as soon as leaving it out changes
nothing. The annotation entrupy-signature-proxy/sets-replicas records which of the two the current Deployment has.
*/}}

{{/* `spec.replicas`; empty leaves it to Kubernetes (one pod at first), `kubectl scale` or an autoscaler. */}}
{{- define "entrupy-signature-proxy.replicas" -}}
{{- $live := include "entrupy-signature-proxy.liveDeployment" . | fromJson -}}
{{- if not (or .Values.autoscaling.enabled (kindIs "invalid" .Values.replicaCount)) }}{{ int .Values.replicaCount -}}
{{- else if not $live.spec }}{{ if and (eq .Values.mode "gateway") (not .Values.autoscaling.enabled) (not (include "entrupy-signature-proxy.claim" .)) }}2{{ end -}}
{{- else if not (include "entrupy-signature-proxy.keepsReplicas" (dict "root" . "live" $live)) }}{{ int $live.spec.replicas -}}
{{- end -}}
{{- end -}}

{{/*
"true" if a manifest without the number leaves the current one in place. A field that was in the manifest before and is
missing now becomes 1, unless Helm applies on the server and does not own the field, or not alone. That Helm did so at the
last upgrade shows in the owners of its label; one that also updated has since worked on the client.
*/}}
{{- define "entrupy-signature-proxy.keepsReplicas" -}}
{{- $live := .live -}}
{{- $marked := eq (dig "annotations" "entrupy-signature-proxy/sets-replicas" "" $live.metadata) "false" -}}
{{- $applier := "" -}}
{{- $updaters := list -}}
{{- $sets := false -}}
{{- $shared := false -}}
{{- range $live.metadata.managedFields -}}
  {{- $fields := .fieldsV1 | default dict -}}
  {{- $owns := hasKey (dig "f:spec" dict $fields) "f:replicas" -}}
  {{- if and (eq .operation "Apply") (hasKey (dig "f:metadata" "f:labels" dict $fields) "f:helm.sh/chart") -}}
    {{- $applier = .manager }}{{ $sets = $owns -}}
  {{- else if $owns }}{{ $shared = true }}{{ end -}}
  {{- if and (eq .operation "Update") (not .subresource) }}{{ $updaters = append $updaters .manager }}{{ end -}}
{{- end -}}
{{- $helm3 := semverCompare "<4.0.0-0" .root.Capabilities.HelmVersion.Version -}}
{{- if or $marked (eq (int $live.spec.replicas) 1) (and $applier (not (has $applier $updaters)) (or (not $sets) $shared) (not $helm3)) }}true{{ end -}}
{{- end -}}

{{/* The current Deployment as JSON; {} at the first install, and where charts are rendered without a cluster. */}}
{{- define "entrupy-signature-proxy.liveDeployment" -}}
{{- lookup "apps/v1" "Deployment" (include "entrupy-signature-proxy.namespace" .) (include "entrupy-signature-proxy.fullname" .) | default dict | toJson -}}
{{- end -}}

{{/* "true" if more than one pod runs, or may run. */}}
{{- define "entrupy-signature-proxy.isSeveral" -}}
{{- $live := include "entrupy-signature-proxy.liveDeployment" . | fromJson -}}
{{- $pods := include "entrupy-signature-proxy.replicas" . | default (dig "spec" "replicas" 1 $live) | int -}}
{{- if or .Values.autoscaling.enabled (gt $pods 1) }}true{{ end -}}
{{- end -}}

{{/* The Deployment's strategy. With a claim one pod ends before the next begins, by the usual type: Helm 4 cannot change that of a release. */}}
{{- define "entrupy-signature-proxy.strategy" -}}
{{- $ours := ternary (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 0 "maxUnavailable" 1)) dict (ne (include "entrupy-signature-proxy.claim" .) "") -}}
{{- .Values.updateStrategy | default .Values.strategy | default $ours | toYaml -}}
{{- end -}}
