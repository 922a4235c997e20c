{{/* The proxy's configuration: the user's values over the mode's defaults. */}}

{{- define "entrupy-signature-proxy.trafficPort" -}}
{{- ((.Values.config).listen).port | default 8080 | int -}}
{{- end -}}

{{- define "entrupy-signature-proxy.adminPort" -}}
{{- ((.Values.config).admin).port | default 9464 | int -}}
{{- end -}}

{{- define "entrupy-signature-proxy.upstreamUrl" -}}
{{- include "entrupy-signature-proxy.templated" (dict "root" . "value" (.Values.upstream.url | default "")) | default (printf "http://127.0.0.1:%d" (int .Values.app.port)) -}}
{{- end -}}

{{- define "entrupy-signature-proxy.scheme" -}}
{{- if ((.Values.config).listen).tls }}https{{ else }}http{{ end -}}
{{- end -}}

{{- define "entrupy-signature-proxy.config" -}}
{{- $beside := ne .Values.mode "gateway" -}}
{{- $needed := dict
  "upstream" (dict "url" (include "entrupy-signature-proxy.upstreamUrl" .) "checkExposure" $beside)
  "admin" (dict "readyNeedsUpstream" (and $beside (not (include "entrupy-signature-proxy.redelivers" .))))
  "secrets" (list (dict "directory" "/etc/entrupy/secrets")) -}}
{{- range $section := list "once" "redelivery" -}}
  {{- if (get $.Values $section | default dict).existingSecret }}{{ $_ := set $needed $section (dict "passwordFile" (printf "/etc/entrupy/%s/password" $section)) }}{{ end -}}
{{- end -}}
{{- mergeOverwrite $needed (deepCopy .Values.config) | toYaml -}}
{{- end -}}

{{/* The keys that a reload cannot change: their checksum restarts the pods. */}}
{{- define "entrupy-signature-proxy.restartOnly" -}}
{{- $config := include "entrupy-signature-proxy.config" . | fromYaml -}}
{{- $listen := $config.listen | default dict -}}
{{- $admin := pick ($config.admin | default dict) "host" "port" -}}
{{- $upstream := pick $config.upstream "url" "connections" "connectTimeout" "keepAlive" -}}
{{- list (pick $listen "host" "port") (hasKey $listen "tls") $admin $upstream $config.once $config.redelivery | toJson | sha256sum | trunc 16 -}}
{{- end -}}

{{/* "true" if some route delivers once. */}}
{{- define "entrupy-signature-proxy.deliversOnce" -}}
{{- range (.Values.config).routes }}{{ if .once }}true{{ break }}{{ end }}{{ end -}}
{{- end -}}

{{/* `memory`, or a URL. */}}
{{- define "entrupy-signature-proxy.store" -}}
{{- ((.Values.config).once).store | default "memory" -}}
{{- end -}}

{{/* The port of a Redis or Valkey; empty for every other store. */}}
{{- define "entrupy-signature-proxy.storePort" -}}
{{- if regexMatch "^rediss?://" . }}{{ (urlParse .).host | regexFind ":[0-9]+$" | trimPrefix ":" | default "6379" }}{{ end -}}
{{- end -}}

{{/* "true" if some route has deliveries sent again. */}}
{{- define "entrupy-signature-proxy.redelivers" -}}
{{- range (.Values.config).routes }}{{ if .redeliver }}true{{ break }}{{ end }}{{ end -}}
{{- end -}}

{{/* A directory, or a URL. The directory of an existingConfigMap must be this one. */}}
{{- define "entrupy-signature-proxy.deferredStore" -}}
{{- ((.Values.config).redelivery).store | default "/var/lib/entrupy-signature-proxy" -}}
{{- end -}}

{{/* The claim that keeps the directory; empty if there is none. */}}
{{- define "entrupy-signature-proxy.claim" -}}
{{- with .Values.redelivery | default dict -}}
{{- if .existingClaim }}{{ include "entrupy-signature-proxy.templated" (dict "root" $ "value" .existingClaim) }}{{ else if .size }}{{ printf "%s-deferred" (include "entrupy-signature-proxy.ownName" $) }}{{ end -}}
{{- end -}}
{{- end -}}

{{/*
What a store for routes with redeliver needs and the pods of the current Deployment lack: they read the new ConfigMap, but
get no new volume. Empty where nothing is missing, or there is no Deployment yet.
*/}}
{{- define "entrupy-signature-proxy.withoutStore" -}}
{{- $live := include "entrupy-signature-proxy.liveDeployment" . | fromJson -}}
{{- if and (include "entrupy-signature-proxy.isWorkload" .) (include "entrupy-signature-proxy.redelivers" .) $live.spec -}}
  {{- $mounted := list -}}
  {{- range dig "template" "spec" "volumes" list $live.spec }}{{ $mounted = append $mounted .name }}{{ end -}}
  {{- $redelivery := .Values.redelivery | default dict -}}
  {{- if and $redelivery.existingSecret (not (has "entrupy-redelivery" $mounted)) }}the password of its store
  {{- else if and (or (include "entrupy-signature-proxy.claim" .) $redelivery.ephemeral) (not (has "entrupy-deferred" $mounted)) }}its volume{{ end -}}
{{- end -}}
{{- end -}}

{{/* A duration such as 250ms or 2m, in seconds, rounded up. */}}
{{- define "entrupy-signature-proxy.seconds" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9]+" $text | default "0" | int -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- if eq $unit "ms" }}{{ div (add $number 999) 1000 }}{{ else }}{{ mul $number (get (dict "s" 1 "m" 60 "h" 3600) $unit | default 0) }}{{ end -}}
{{- end -}}

{{/* Seconds for which a draining proxy still serves; its app must run as long. */}}
{{- define "entrupy-signature-proxy.delay" -}}
{{- include "entrupy-signature-proxy.seconds" (dig "shutdown" "delay" "5s" (.Values.config | default dict)) -}}
{{- end -}}

{{/* The path that helm test and NOTES send to: the first that refuses unsigned requests; empty if there is none. */}}
{{- define "entrupy-signature-proxy.samplePath" -}}
{{- $path := .Values.test.path -}}
{{- range (.Values.config).routes -}}
  {{- if and (not $path) (eq (.action | default "verify") "verify") (eq (.mode | default "enforce") "enforce") (has "POST" (.methods | default (list "POST"))) -}}
    {{- $path = trimSuffix "/*" .path | default "/" -}}
  {{- end -}}
{{- end -}}
{{- if and (not $path) (eq ((.Values.config).unmatched | default "verify") "verify") }}{{ $path = "/notify" }}{{ end -}}
{{- $path -}}
{{- end -}}
