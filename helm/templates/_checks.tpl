{{/* Rules over several keys, which the schema cannot express. Reports all mistakes at once, each with its fix. */}}

{{- define "entrupy-signature-proxy.checks" -}}
{{- $v := .Values -}}
{{- $traffic := include "entrupy-signature-proxy.trafficPort" . | int -}}
{{- $admin := include "entrupy-signature-proxy.adminPort" . | int -}}
{{- $beside := and (has $v.mode (list "sidecar" "library")) (not $v.upstream.url) -}}
{{- $hasSecret := or $v.secret.existingSecret $v.secret.values ($v.config).secrets $v.existingConfigMap -}}
{{- $workload := include "entrupy-signature-proxy.isWorkload" . -}}
{{- $problems := include "entrupy-signature-proxy.modeProblems" . | fromJsonArray -}}
{{- if $v.imagePullSecrets -}}
  {{- $problems = append $problems "imagePullSecrets has another name here: set image.pullSecrets, or global.imagePullSecrets for all charts of a parent" -}}
{{- end -}}
{{- if not (kindIs "string" $v.image.tag) -}}
  {{- $problems = append $problems (printf "image.tag is the number %v, and numbers lose trailing zeros (1.10 becomes 1.1): use --set-string image.tag=..., or quotes in a values file" $v.image.tag) -}}
{{- end -}}
{{- if $workload -}}
  {{- $name := include "entrupy-signature-proxy.fullname" . -}}
  {{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
    {{- $problems = append $problems (printf "a Service cannot have the name %s (lower-case letters, digits and -, starting with a letter): set another fullnameOverride" $name) -}}
  {{- end -}}
{{- end -}}
{{- $probed := has $v.mode (list "sidecar" "gateway" "library") -}}
{{- range $section, $who := dict "listen" "the Service" "admin" "the kubelet, which runs the probes," -}}
  {{- $host := (get ($v.config | default dict) $section | default dict).host | default "" -}}
  {{- if and $probed (or (hasPrefix "127." $host) (has $host (list "::1" "localhost"))) -}}
    {{- $problems = append $problems (printf "config.%s.host %s: %s connects from outside the pod, so no pod would ever be ready: remove it" $section $host $who) -}}
  {{- end -}}
{{- end -}}
{{- $sleep := include "entrupy-signature-proxy.sleep" . | int -}}
{{- $delay := include "entrupy-signature-proxy.delay" . | int -}}
{{- if and (eq $v.mode "sidecar") (lt $sleep $delay) (not ($v.app.lifecycle).preStop) -}}
  {{- $problems = append $problems (printf "app.preStopSleepSeconds %d is less than config.shutdown.delay, %d s: the app would stop while the proxy still serves; remove it to use the same time" $sleep $delay) -}}
{{- end -}}
{{- $needsSecret := or (has $v.mode (list "gateway" "library")) (and (eq $v.mode "sidecar") $v.app.image) -}}
{{- if and $needsSecret (not $hasSecret) -}}
  {{- $problems = append $problems "secret.existingSecret is required: the name of a Secret in which every key is a secret (kubectl create secret generic hook-keys --from-file=current=./current.key)" -}}
{{- end -}}
{{- $store := include "entrupy-signature-proxy.store" . -}}
{{- if not (or (eq $store "memory") (hasPrefix "redis://" $store) (hasPrefix "rediss://" $store)) -}}
  {{- $problems = append $problems "config.once.store must be memory, or redis://host:6379/0 (rediss:// for TLS)" -}}
{{- else if regexMatch "//[^/]*:[^/]*@" $store -}}
  {{- $problems = append $problems "config.once.store holds a password: put it into a Secret and set once.existingSecret" -}}
{{- end -}}
{{- if $v.once.existingSecret -}}
  {{- if and (ne $v.mode "inject") (eq $store "memory") (not $v.existingConfigMap) -}}
    {{- $problems = append $problems "once.existingSecret is the password of a Redis or Valkey store: set config.once.store, such as redis://valkey:6379/0" -}}
  {{- end -}}
  {{- if (($v.config).once).passwordFile -}}
    {{- $problems = append $problems "config.once.passwordFile and once.existingSecret are mutually exclusive: with the Secret, the chart sets the path" -}}
  {{- end -}}
{{- end -}}
{{- $problems = concat $problems (include "entrupy-signature-proxy.redeliveryProblems" . | fromJsonArray) -}}
{{- if and (eq $v.mode "gateway") (not $v.upstream.url) (not $v.existingConfigMap) -}}
  {{- $problems = append $problems "upstream.url is required in mode gateway: the Service to protect, such as http://legacy.shop.svc:8080" -}}
{{- end -}}
{{- if ($v.config.upstream).url -}}
  {{- $problems = append $problems "the chart sets config.upstream.url: use upstream.url or app.port" -}}
{{- end -}}
{{- $ignored := include "entrupy-signature-proxy.ignoredConfig" . | fromJsonArray -}}
{{- if $ignored -}}
  {{- $why := "existingConfigMap replaces config" -}}
  {{- if eq $v.mode "inject" }}{{ $why = "in mode inject each namespace has its own ConfigMap (inject.configMap)" -}}
  {{- else if eq $v.mode "monitoring" }}{{ $why = "mode monitoring has no proxy" }}{{ end -}}
  {{- $problems = append $problems (printf "%s, so these would be ignored: config.%s" $why (join ", config." $ignored)) -}}
{{- end -}}
{{- if eq $traffic $admin -}}
  {{- $problems = append $problems (printf "config.listen.port and config.admin.port are both %d" $traffic) -}}
{{- end -}}
{{- if and $beside (has (int $v.app.port) (list $traffic $admin)) -}}
  {{- $problems = append $problems (printf "app.port %d is also a port of the proxy, and both share the pod's network: change config.listen.port or config.admin.port" (int $v.app.port)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
  {{- $problems = append $problems "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- $service := $v.service -}}
{{- if and (gt (len ($service.ipFamilies | default list)) 1) (has ($service.ipFamilyPolicy | default "") (list "" "SingleStack")) -}}
  {{- $problems = append $problems "service.ipFamilies names two families: set service.ipFamilyPolicy to PreferDualStack or RequireDualStack" -}}
{{- end -}}
{{- range $name := list "annotations" "imagePullSecrets" -}}
  {{- if and (get $v.serviceAccount $name) (not $v.serviceAccount.create) -}}
    {{- $problems = append $problems (printf "serviceAccount.%s are for an account that the chart creates: set serviceAccount.create=true, or change the existing account" $name) -}}
  {{- end -}}
{{- end -}}
{{- $memory := dig "limits" "memory" "" ($v.resources | default dict) | toString -}}
{{- if and $memory (lt (include "entrupy-signature-proxy.mebibytes" $memory | int) 96) -}}
  {{- $problems = append $problems (printf "resources.limits.memory %s is less than 96Mi: a command in the container takes up to 25 MiB of it (check, deferred), and under load the kernel would kill the proxy (docs/docker.md#sizing)" $memory) -}}
{{- end -}}
{{- if eq $v.mode "inject" -}}
  {{- range $v.extraEnv -}}
    {{- if or .valueFrom (not (kindIs "string" .value)) -}}
      {{- $problems = append $problems (printf "extraEnv %s: in mode inject a variable needs a value that is text, and no valueFrom" .name) -}}
    {{- else if has .name (list "UPSTREAM_URL" "LISTEN_PORT" "ADMIN_PORT" "POD_IP") -}}
      {{- $problems = append $problems (printf "extraEnv %s: the injection policy sets this variable itself" .name) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- range $name := list "podMonitor" "serviceMonitor" -}}
  {{- if and $workload $v.networkPolicy.enabled (not $v.networkPolicy.metricsFrom) (get $v.metrics $name | default dict).enabled -}}
    {{- $problems = append $problems (printf "networkPolicy.metricsFrom is empty, so Prometheus cannot reach the port that metrics.%s names: set it to Prometheus' namespace, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}]" $name) -}}
  {{- end -}}
{{- end -}}
{{- range $name := list "podMonitor" "serviceMonitor" -}}
  {{- $monitor := get $v.metrics $name | default dict -}}
  {{- if and $monitor.interval $monitor.scrapeTimeout -}}
    {{- if gt (include "entrupy-signature-proxy.seconds" $monitor.scrapeTimeout | int) (include "entrupy-signature-proxy.seconds" $monitor.interval | int) -}}
      {{- $problems = append $problems (printf "metrics.%s.scrapeTimeout %s is more than its interval %s" $name $monitor.scrapeTimeout $monitor.interval) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- if eq $v.mode "monitoring" -}}
  {{- if not (or (include "entrupy-signature-proxy.makes" (dict "root" . "name" "rules")) (include "entrupy-signature-proxy.makes" (dict "root" . "name" "dashboard"))) -}}
    {{- $problems = append $problems "mode monitoring has nothing to create: remove metrics.rules.enabled or metrics.dashboard.enabled" -}}
  {{- end -}}
{{- end -}}
{{- $stop := add (include "entrupy-signature-proxy.seconds" (dig "shutdown" "delay" "5s" $v.config)) (include "entrupy-signature-proxy.seconds" (dig "shutdown" "grace" "20s" $v.config)) -}}
{{- if and $workload (lt (int $v.terminationGracePeriodSeconds) (int $stop)) -}}
  {{- $problems = append $problems (printf "terminationGracePeriodSeconds %d is less than config.shutdown's delay and grace together, %d s: requests in flight would be cut" (int $v.terminationGracePeriodSeconds) $stop) -}}
{{- end -}}
{{- if and (eq $v.mode "inject") (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
  {{- $problems = append $problems (printf "mode inject needs Kubernetes 1.36 (MutatingAdmissionPolicy v1), this is %s: use mode sidecar or library" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if $problems -}}
  {{- fail (printf "these values do not fit together:\n  - %s" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end -}}

{{/* A quantity of memory such as 96Mi, 0.1Gi or 134217728, in whole MiB; 0 for what is none. */}}
{{- define "entrupy-signature-proxy.mebibytes" -}}
{{- $units := dict "" 1 "k" 1000 "Ki" 1024 "M" 1000000 "Mi" 1048576 "G" 1000000000 "Gi" 1073741824 "T" 1000000000000 "Ti" 1099511627776 -}}
{{- divf (mulf (regexFind "^[0-9.]+(e[0-9]+)?" . | default "0" | float64) (get $units (regexFind "[A-Za-z]*$" . ) | default 0)) 1048576 | floor | int64 -}}
{{- end -}}

{{/* The keys of config that nothing reads, as a JSON list. Where the file is another's, the chart still reads its ports here. */}}
{{- define "entrupy-signature-proxy.ignoredConfig" -}}
{{- $ignored := list -}}
{{- if or .Values.existingConfigMap (has .Values.mode (list "inject" "monitoring")) -}}
  {{- $read := dict "listen" (list "port") "admin" (list "port") -}}
  {{- if .Values.existingConfigMap }}{{ $_ := set $read "listen" (list "port" "tls") }}{{ end -}}
  {{- if eq .Values.mode "monitoring" }}{{ $read = dict }}{{ end -}}
  {{- range $key, $value := .Values.config -}}
    {{- if not (hasKey $read $key) }}{{ $ignored = append $ignored $key -}}
    {{- else }}{{ range $name := keys $value | sortAlpha }}{{ if not (has $name (get $read $key)) }}{{ $ignored = append $ignored (printf "%s.%s" $key $name) }}{{ end }}{{ end }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $ignored | toJson -}}
{{- end -}}

{{/* The rules of the store for routes with redeliver, as a JSON list: Redis, or a directory that a volume of one pod keeps. */}}
{{- define "entrupy-signature-proxy.redeliveryProblems" -}}
{{- $v := .Values -}}
{{- $r := $v.redelivery | default dict -}}
{{- $store := include "entrupy-signature-proxy.deferredStore" . -}}
{{- $isRedis := regexMatch "^rediss?://" $store -}}
{{- $claim := include "entrupy-signature-proxy.claim" . -}}
{{- $volumes := list -}}
{{- range $key := list "existingClaim" "size" "ephemeral" -}}
  {{- if get $r $key }}{{ $volumes = append $volumes (printf "redelivery.%s" $key) }}{{ end -}}
{{- end -}}
{{- $problems := list -}}
{{- if not (or $isRedis (hasPrefix "/" $store)) -}}
  {{- $problems = append $problems "config.redelivery.store must be a directory's absolute path, or redis://host:6379/0 (rediss:// for TLS)" -}}
{{- else if regexMatch "//[^/]*:[^/]*@" $store -}}
  {{- $problems = append $problems "config.redelivery.store holds a password: put it into a Secret and set redelivery.existingSecret" -}}
{{- end -}}
{{- if $r.existingSecret -}}
  {{- if not (or $isRedis $v.existingConfigMap (eq $v.mode "inject")) -}}
    {{- $problems = append $problems "redelivery.existingSecret is the password of a Redis or Valkey store: set config.redelivery.store, such as redis://valkey:6379/0" -}}
  {{- end -}}
  {{- if (($v.config).redelivery).passwordFile -}}
    {{- $problems = append $problems "config.redelivery.passwordFile and redelivery.existingSecret are mutually exclusive: with the Secret, the chart sets the path" -}}
  {{- end -}}
{{- end -}}
{{- if gt (len $volumes) 1 -}}
  {{- $problems = append $problems (printf "%s are mutually exclusive: deferred deliveries have one place" (join " and " $volumes)) -}}
{{- end -}}
{{- if and $volumes $isRedis -}}
  {{- $problems = append $problems (printf "%s is for a directory, and config.redelivery.store is a Redis or Valkey: remove one of them" (first $volumes)) -}}
{{- else if and (include "entrupy-signature-proxy.redelivers" .) (not $isRedis) (not $volumes) -}}
  {{- $problems = append $problems (printf "a route has redeliver, and no volume keeps %s: set config.redelivery.store to a Redis or Valkey; or redelivery.size or redelivery.existingClaim, for one pod; or redelivery.ephemeral=true, which loses what is deferred with the pod" $store) -}}
{{- end -}}
{{- if and $claim (include "entrupy-signature-proxy.isWorkload" .) -}}
  {{- if include "entrupy-signature-proxy.isSeveral" . -}}
    {{- $problems = append $problems "redelivery: a claim is for one pod, and this release has or may have several: set replicaCount=1 without autoscaling, or let them share a Redis or Valkey (config.redelivery.store)" -}}
  {{- end -}}
  {{- $strategy := include "entrupy-signature-proxy.strategy" . | fromYaml -}}
  {{- if not (or (eq ($strategy.type | default "") "Recreate") (has (toString ($strategy.rollingUpdate).maxSurge) (list "0" "0%"))) -}}
    {{- $problems = append $problems "updateStrategy: with a claim for redelivery two pods would have it at a time; remove it, or set rollingUpdate.maxSurge=0" -}}
  {{- end -}}
{{- end -}}
{{- if and $r.storageClass (not $r.size) -}}
  {{- $problems = append $problems "redelivery.storageClass is of the claim that the chart creates: set redelivery.size" -}}
{{- end -}}
{{- if and (include "entrupy-signature-proxy.redelivers" .) $isRedis (not (($v.config).redelivery).name) -}}
  {{- $problems = append $problems "config.redelivery.name is required with a Redis or Valkey: apps that share one would get each other's deliveries" -}}
{{- end -}}
{{- $problems | toJson -}}
{{- end -}}
