{{/* Rules over several keys, which the schema cannot express. Reports all mistakes at once, each with its fix. */}}

{{- define "entrupy-signature-proxy.checks" -}}
{{- $v := .Values -}}
{{- $traffic := include "entrupy-signature-proxy.trafficPort" . | int -}}
{{- $admin := include "entrupy-signature-proxy.adminPort" . | int -}}
{{- $beside := and (has $v.mode (list "sidecar" "library")) (not $v.upstream.url) -}}
{{- $hasSecret := or $v.secret.existingSecret $v.secret.values ($v.config).secrets $v.existingConfigMap -}}
{{- $moreConfig := omit (deepCopy ($v.config | default dict)) "listen" "admin" -}}
{{- $workload := include "entrupy-signature-proxy.isWorkload" . -}}
{{- $problems := list -}}
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
  {{- if eq $v.mode "inject" -}}
    {{- $problems = append $problems "once.existingSecret is not for mode inject: set inject.onceSecret, a Secret in the pods' own namespace" -}}
  {{- else if and (eq $store "memory") (not $v.existingConfigMap) -}}
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
{{- if and (ne $v.mode "sidecar") ($v.app.lifecycle) -}}
  {{- $problems = append $problems (printf "app.lifecycle is only for mode sidecar, not %s" $v.mode) -}}
{{- end -}}
{{- if and (ne $v.mode "sidecar") $v.app.image -}}
  {{- $problems = append $problems (printf "app.image is only for mode sidecar, not %s" $v.mode) -}}
{{- end -}}
{{- if ($v.config.upstream).url -}}
  {{- $problems = append $problems "the chart sets config.upstream.url: use upstream.url or app.port" -}}
{{- end -}}
{{- if and $v.existingConfigMap $moreConfig -}}
  {{- $problems = append $problems (printf "existingConfigMap replaces config, so these would be ignored: %s" (keys $moreConfig | sortAlpha | join ", ")) -}}
{{- end -}}
{{- if eq $traffic $admin -}}
  {{- $problems = append $problems (printf "config.listen.port and config.admin.port are both %d" $traffic) -}}
{{- end -}}
{{- if and $beside (has (int $v.app.port) (list $traffic $admin)) -}}
  {{- $problems = append $problems (printf "app.port %d is also a port of the proxy, and both share the pod's network: change config.listen.port or config.admin.port" (int $v.app.port)) -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (ne $v.mode "gateway") -}}
  {{- $problems = append $problems "autoscaling is for mode gateway: in mode sidecar use your own autoscaler, by the metrics of the app container" -}}
{{- end -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
  {{- $problems = append $problems "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- $service := $v.service -}}
{{- if and (gt (len ($service.ipFamilies | default list)) 1) (has ($service.ipFamilyPolicy | default "") (list "" "SingleStack")) -}}
  {{- $problems = append $problems "service.ipFamilies names two families: set service.ipFamilyPolicy to PreferDualStack or RequireDualStack" -}}
{{- end -}}
{{- if and $v.serviceAccount.create (not $workload) -}}
  {{- $problems = append $problems (printf "serviceAccount.create is for modes sidecar and gateway, not %s" $v.mode) -}}
{{- end -}}
{{- if and $v.serviceAccount.annotations (not $v.serviceAccount.create) -}}
  {{- $problems = append $problems "serviceAccount.annotations are for an account that the chart creates: set serviceAccount.create=true, or annotate the existing account" -}}
{{- end -}}
{{- $serviceMonitor := $v.metrics.serviceMonitor | default dict -}}
{{- if and $serviceMonitor.enabled (eq $v.mode "inject") -}}
  {{- $problems = append $problems "metrics.serviceMonitor is not for mode inject, whose pods are in other namespaces: use metrics.podMonitor" -}}
{{- end -}}
{{- range $name := list "podMonitor" "serviceMonitor" -}}
  {{- $monitor := get $v.metrics $name | default dict -}}
  {{- if and $monitor.enabled (eq $v.mode "monitoring") -}}
    {{- $problems = append $problems (printf "metrics.%s belongs to the pods: enable it in their release, not in mode monitoring" $name) -}}
  {{- end -}}
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
  {{- if $v.config -}}
    {{- $problems = append $problems (printf "mode monitoring has no proxy, so these would be ignored: config.%s" (keys $v.config | sortAlpha | join ", config.")) -}}
  {{- end -}}
{{- end -}}
{{- if not $workload -}}
  {{- range $name := list "ingress" "httpRoute" "networkPolicy" -}}
    {{- if (index $v $name).enabled -}}
      {{- $problems = append $problems (printf "%s is for modes sidecar and gateway, not %s" $name $v.mode) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $stop := add (include "entrupy-signature-proxy.seconds" (dig "shutdown" "delay" "5s" $v.config)) (include "entrupy-signature-proxy.seconds" (dig "shutdown" "grace" "20s" $v.config)) -}}
{{- if and $workload (lt (int $v.terminationGracePeriodSeconds) (int $stop)) -}}
  {{- $problems = append $problems (printf "terminationGracePeriodSeconds %d is less than config.shutdown's delay and grace together, %d s: requests in flight would be cut" (int $v.terminationGracePeriodSeconds) $stop) -}}
{{- end -}}
{{- if and (eq $v.mode "inject") $moreConfig -}}
  {{- $problems = append $problems (printf "in mode inject each namespace has its own ConfigMap (inject.configMap), so these would be ignored: config.%s" (keys $moreConfig | sortAlpha | join ", config.")) -}}
{{- end -}}
{{- if and (eq $v.mode "inject") (not (.Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy")) (semverCompare "<1.36.0-0" .Capabilities.KubeVersion.Version) -}}
  {{- $problems = append $problems (printf "mode inject needs Kubernetes 1.36 (MutatingAdmissionPolicy v1), this is %s: use mode sidecar or library" .Capabilities.KubeVersion.Version) -}}
{{- end -}}
{{- if $problems -}}
  {{- fail (printf "these values do not fit together:\n  - %s" (join "\n  - " $problems)) -}}
{{- end -}}
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
  {{- if eq $v.mode "inject" -}}
    {{- $problems = append $problems "redelivery.existingSecret is not for mode inject: set inject.redeliverySecret, a Secret in the pods' own namespace" -}}
  {{- else if not (or $isRedis $v.existingConfigMap) -}}
    {{- $problems = append $problems "redelivery.existingSecret is the password of a Redis or Valkey store: set config.redelivery.store, such as redis://valkey:6379/0" -}}
  {{- end -}}
  {{- if (($v.config).redelivery).passwordFile -}}
    {{- $problems = append $problems "config.redelivery.passwordFile and redelivery.existingSecret are mutually exclusive: with the Secret, the chart sets the path" -}}
  {{- end -}}
{{- end -}}
{{- if gt (len $volumes) 1 -}}
  {{- $problems = append $problems (printf "%s are mutually exclusive: deferred deliveries have one place" (join " and " $volumes)) -}}
{{- end -}}
{{- if and $volumes (has $v.mode (list "inject" "monitoring")) -}}
  {{- $why := ternary "pods that are injected share a Redis or Valkey, which redelivery.store in their ConfigMap names" "mode monitoring has no proxy" (eq $v.mode "inject") -}}
  {{- $problems = append $problems (printf "%s is not for mode %s: %s" (first $volumes) $v.mode $why) -}}
{{- else if and $volumes $isRedis -}}
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
