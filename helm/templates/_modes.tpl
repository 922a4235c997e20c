{{/*
Which mode uses which value. One that a mode cannot use is refused, with the way that works: in silence a Secret or a
variable would have no effect. Silent are defaults, and what belongs to a feature that is off, so that releases of several
modes can share a values file. A value that is in no row is used in every mode, or does no harm where it is not (image).
A row: values with their defaults (null: any value that is not empty counts; two are those of 0.1.0, which --reuse-values
brings back), the modes that use them, and for each other mode what to do instead.
*/}}
{{- define "entrupy-signature-proxy.modes" -}}
- values:
    {app.image: , app.command: , app.args: , app.env: , app.envFrom: , app.resources: , app.startupProbe: , app.readinessProbe: ,
    app.livenessProbe: , app.volumeMounts: , app.lifecycle: , app.preStopSleepSeconds: 5}
  modes: [sidecar]
  gateway: the app is not in these pods, and upstream.url names its Service
  inject: set it in the app's own manifest
  library: set it in your own chart
- values: {app.port: 3000}
  modes: [sidecar, library]
  gateway: upstream.url has the app's port
  inject: annotate the pods with entrupy-signature-proxy/upstream-port
- values: {upstream.url: }
  modes: [sidecar, gateway, library]
  inject: the app is in the same pod, and the pod's annotation entrupy-signature-proxy/upstream-port names its port
- values: {existingConfigMap: }
  modes: [sidecar, gateway, library]
  inject: set inject.configMap, a ConfigMap in the pods' own namespace
- values: {secret.existingSecret: , secret.items: , secret.values: }
  modes: [sidecar, gateway, library]
  inject: set inject.secret, a Secret in the pods' own namespace
- values: {once.existingSecret: }
  modes: [sidecar, gateway, library]
  inject: set inject.onceSecret, a Secret in the pods' own namespace
- values: {redelivery.existingSecret: }
  modes: [sidecar, gateway, library]
  inject: set inject.redeliverySecret, a Secret in the pods' own namespace
- values: {redelivery.existingClaim: , redelivery.size: , redelivery.ephemeral: }
  modes: [sidecar, gateway, library]
  inject: pods that are injected share a Redis or Valkey, which redelivery.store in their ConfigMap names
- values: {envFrom: , extraVolumes: , extraVolumeMounts: }
  modes: [sidecar, gateway, library]
  inject: extraEnv sets variables, and a file can be a key of the ConfigMap (inject.configMap), below /etc/entrupy-signature-proxy
- values: {extraEnv: }
  modes: [sidecar, gateway, library, inject]
- values:
    nativeSidecar: true
  modes: [sidecar, gateway, library]
  inject: an injected sidecar is always a native one
- values:
    securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}
  modes: [sidecar, gateway, library]
  inject: an injected sidecar has the default, which meets Pod Security "restricted"
- values:
    resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 128Mi}}
    startupProbe: {periodSeconds: 1, failureThreshold: 60}
    readinessProbe: {periodSeconds: 2, failureThreshold: 2}
    livenessProbe: {periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 3}
  modes: [sidecar, gateway, library, inject]
- values: {image.pullSecrets: }
  modes: [sidecar, gateway]
  inject: add the pull secret to the pods, or to their service account (docs/kubernetes.md#a-private-registry)
  library: set imagePullSecrets in your own chart's pods
- values: {serviceAccount.create: , serviceAccount.name: , serviceAccount.automountToken: }
  modes: [sidecar, gateway]
  inject: set serviceAccountName in the app's own manifest
  library: set serviceAccountName in your own chart's pods
- values:
    {replicaCount: , revisionHistoryLimit: , minReadySeconds: , deploymentLabels: , deploymentAnnotations: , updateStrategy: , strategy: ,
    extraInitContainers: , extraContainers: , hostAliases: , dnsPolicy: , dnsConfig: , runtimeClassName: , schedulerName: , podLabels: ,
    podAnnotations: , nodeSelector: , tolerations: , affinity: , topologySpreadConstraints: , priorityClassName: , enableServiceLinks: ,
    rollOnChange: , pdb.enabled: , terminationGracePeriodSeconds: 45,
    podSecurityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}}
  modes: [sidecar, gateway]
  inject: set it in the app's own manifest, since the policy adds a container and no more
  library: set it in your own chart
- values:
    {service.type: ClusterIP, service.port: 80, service.nodePort: , service.annotations: , service.labels: , service.trafficDistribution: ,
    service.externalTrafficPolicy: , service.internalTrafficPolicy: , service.appProtocol: , service.loadBalancerClass: ,
    service.loadBalancerSourceRanges: , service.ipFamilyPolicy: , service.ipFamilies: }
  modes: [sidecar, gateway]
  inject: "the app has its own Service, which must have `targetPort: traffic`"
  library: "your own chart has the Service, which must have `targetPort: traffic`"
- values: {ingress.enabled: , httpRoute.enabled: , networkPolicy.enabled: }
  modes: [sidecar, gateway]
  inject: make it beside the app's own Service
  library: make it in your own chart
- values: {test.path: , test.secretKey: current}
  modes: [sidecar, gateway]
  inject: there is no helm test for pods of other releases; run `probe` in one of them (docs/commands.md)
  library: there is no helm test for your own chart's pods; run `probe` in one of them (docs/commands.md)
- values: {autoscaling.enabled: }
  modes: [gateway]
  sidecar: use your own autoscaler, by the metrics of the app container
  inject: use the app's own autoscaler
  library: use your own chart's autoscaler
- values: {metrics.podMonitor.enabled: }
  modes: [sidecar, gateway, library, inject]
  monitoring: enable it in the release that has the pods
- values: {metrics.serviceMonitor.enabled: }
  modes: [sidecar, gateway, library]
  inject: the pods are in other namespaces, so use metrics.podMonitor
  monitoring: enable it in the release that has the pods
- values:
    inject.namespaceSelector: {matchLabels: {entrupy-signature-proxy/injection: enabled}}
    inject.secret: entrupy-secrets
    inject.configMap: entrupy-config
    inject.onceSecret:
    inject.redeliverySecret:
    inject.checkImage: true
  modes: [inject]
  sidecar: secret, config, once and redelivery are this mode's own values
  gateway: secret, config, once and redelivery are this mode's own values
  library: secret, config, once and redelivery are this mode's own values
{{- end -}}

{{/* The values that the mode cannot use, as a JSON list of sentences. */}}
{{- define "entrupy-signature-proxy.modeProblems" -}}
{{- $mode := .Values.mode -}}
{{- $problems := list -}}
{{- range $row := include "entrupy-signature-proxy.modes" . | fromYamlArray -}}
  {{- if not (has $mode .modes) -}}
    {{- $given := list -}}
    {{- range $name, $default := .values -}}
      {{- $value := $.Values -}}
      {{- range splitList "." $name }}{{ $value = kindIs "map" $value | ternary (get (ternary $value dict (kindIs "map" $value)) .) "" }}{{ end -}}
      {{- $isDefault := kindIs "invalid" $default | ternary (empty $value) (or (kindIs "invalid" $value) (eq (toJson $value) (toJson $default))) -}}
      {{- if not (or $isDefault (eq (toJson $value) "\"\"")) }}{{ $given = append $given $name }}{{ end -}}
    {{- end -}}
    {{- $instead := get $row $mode | default "mode monitoring has no proxy, only alert rules and the dashboard" -}}
    {{- if $given }}{{ $problems = append $problems (printf "%s %s not for mode %s: %s" (join ", " $given) (gt (len $given) 1 | ternary "are" "is") $mode $instead) }}{{ end -}}
  {{- end -}}
{{- end -}}
{{- $problems | toJson -}}
{{- end -}}

{{/* "true" if the chart creates the rules (or the dashboard): when enabled, and by default in mode monitoring. */}}
{{- define "entrupy-signature-proxy.makes" -}}
{{- $enabled := (get .root.Values.metrics .name).enabled -}}
{{- if kindIs "invalid" $enabled }}{{ $enabled = eq .root.Values.mode "monitoring" }}{{ end -}}
{{- if $enabled }}true{{ end -}}
{{- end -}}
