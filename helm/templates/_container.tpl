{{/*
For your own chart, with this one as a dependency in mode library:

  initContainers: {{- include "entrupy-signature-proxy.container" (index .Subcharts "entrupy-signature-proxy") | nindent 8 }}
  volumes:        {{- include "entrupy-signature-proxy.volumes"   (index .Subcharts "entrupy-signature-proxy") | nindent 8 }}

Modes sidecar and gateway use the same two. Both are lists.
*/}}

{{- define "entrupy-signature-proxy.container" -}}
- name: entrupy-signature-proxy
  image: {{ include "entrupy-signature-proxy.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- if and (ne .Values.mode "gateway") .Values.nativeSidecar }}
  restartPolicy: Always
  {{- end }}
  args: [serve, --config, /etc/entrupy-signature-proxy/config.yaml]
  env:
    - name: POD_IP             # the address that upstream.checkExposure probes
      valueFrom: {fieldRef: {apiVersion: v1, fieldPath: status.podIP}}
    {{- with .Values.extraEnv }}
    {{- include "entrupy-signature-proxy.templated" (dict "root" $ "value" .) | nindent 4 }}
    {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- include "entrupy-signature-proxy.templated" (dict "root" $ "value" .) | nindent 4 }}
  {{- end }}
  ports:
    - {name: traffic, containerPort: {{ include "entrupy-signature-proxy.trafficPort" . }}, protocol: TCP}
    - {name: admin, containerPort: {{ include "entrupy-signature-proxy.adminPort" . }}, protocol: TCP}
  # /startz never checks the upstream: the app starts only after its native sidecar.
  {{- range $name, $path := dict "startupProbe" "/startz" "readinessProbe" "/readyz" "livenessProbe" "/livez" }}
  {{ $name }}:
    httpGet: {path: {{ $path }}, port: admin}
    {{- include "entrupy-signature-proxy.probe" (dict "root" $ "name" $name) | nindent 4 }}
  {{- end }}
  # Runs at deletion, long before SIGTERM: the proxy is no longer ready, but still serves.
  lifecycle:
    preStop:
      httpGet: {path: /-/drain, port: admin}
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- toYaml .Values.securityContext | nindent 4 }}
  # Whole directories: a subPath or single-file mount never sees a change.
  volumeMounts:
    - {name: entrupy-config, mountPath: /etc/entrupy-signature-proxy, readOnly: true}
    - {name: entrupy-secrets, mountPath: /etc/entrupy/secrets, readOnly: true}
    {{- if .Values.once.existingSecret }}
    - {name: entrupy-once, mountPath: /etc/entrupy/once, readOnly: true}
    {{- end }}
    {{- with .Values.redelivery | default dict }}
    {{- if .existingSecret }}
    - {name: entrupy-redelivery, mountPath: /etc/entrupy/redelivery, readOnly: true}
    {{- end }}
    {{- if or (include "entrupy-signature-proxy.claim" $) .ephemeral }}
    - {name: entrupy-deferred, mountPath: {{ include "entrupy-signature-proxy.deferredStore" $ | quote }}}
    {{- end }}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Timing and thresholds of one probe: the user's over the chart's. The user cannot change what it checks. */}}
{{- define "entrupy-signature-proxy.probe" -}}
{{- $ours := dict -}}
{{- range $row := include "entrupy-signature-proxy.modes" . | fromYamlArray }}
{{- $ours = merge $ours (pick $row.values "startupProbe" "readinessProbe" "livenessProbe") }}
{{- end -}}
{{- $numbers := mergeOverwrite (get $ours .name) (deepCopy (get .root.Values .name | default dict)) -}}
{{- range $key, $number := $numbers }}
{{ $key }}: {{ int $number }}
{{- end -}}
{{- end -}}

{{- define "entrupy-signature-proxy.volumes" -}}
- name: entrupy-config
  configMap: {name: {{ include "entrupy-signature-proxy.configMapName" . | quote }}}
# Optional: without the Secret the proxy starts, reports it and answers 503 until it exists.
- name: entrupy-secrets
  secret:
    secretName: {{ include "entrupy-signature-proxy.secretName" . | quote }}
    optional: true
    {{- with .Values.secret.items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- with include "entrupy-signature-proxy.passwordSecret" (dict "root" . "store" "once") }}
# Optional: without the Secret once.onStoreFailure decides.
- name: entrupy-once
  secret:
    secretName: {{ . | quote }}
    optional: true
    items: [{key: {{ $.Values.once.key | quote }}, path: password}]
{{- end }}
{{- with .Values.redelivery | default dict }}
{{- if .existingSecret }}
# Optional: without the Secret deliveries are answered as without redeliver.
- name: entrupy-redelivery
  secret:
    secretName: {{ include "entrupy-signature-proxy.passwordSecret" (dict "root" $ "store" "redelivery") | quote }}
    optional: true
    items: [{key: {{ .key | default "password" | quote }}, path: password}]
{{- end }}
{{- if include "entrupy-signature-proxy.claim" $ }}
- name: entrupy-deferred
  persistentVolumeClaim: {claimName: {{ include "entrupy-signature-proxy.claim" $ | quote }}}
{{- else if .ephemeral }}
- {name: entrupy-deferred, emptyDir: {}}
{{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ include "entrupy-signature-proxy.templated" (dict "root" $ "value" .) }}
{{- end }}
{{- end -}}

{{/* The pod's own settings: a claim is mounted for the group of the image's user. */}}
{{- define "entrupy-signature-proxy.podSecurityContext" -}}
{{- $ours := ternary (dict "fsGroup" 65532 "fsGroupChangePolicy" "OnRootMismatch") dict (ne (include "entrupy-signature-proxy.claim" .) "") -}}
{{- mergeOverwrite $ours (deepCopy (.Values.podSecurityContext | default dict)) | toYaml -}}
{{- end -}}
