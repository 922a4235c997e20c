{{/* CEL variables of both admission policies: the guard must judge the same annotations that the policy used. */}}

{{- define "entrupy-signature-proxy.injectVariables" -}}
- name: annotations
  expression: "has(object.metadata.annotations) ? object.metadata.annotations : {}"
{{- range $name := list "listen" "upstream" }}
- name: {{ $name }}PortGiven
  expression: "'entrupy-signature-proxy/{{ $name }}-port' in variables.annotations ? variables.annotations['entrupy-signature-proxy/{{ $name }}-port'] : ''"
- name: {{ $name }}PortGood
  expression: "variables.{{ $name }}PortGiven.matches('^[1-9][0-9]{0,4}$') && int(variables.{{ $name }}PortGiven) <= 65535"
{{- end }}
{{- end -}}

{{/* A name from an annotation, else the release's. */}}
{{- define "entrupy-signature-proxy.injectName" -}}
- name: {{ .variable }}
  expression: {{ printf "'entrupy-signature-proxy/%s' in variables.annotations ? variables.annotations['entrupy-signature-proxy/%s'] : %s" .annotation .annotation (.value | toJson) | toJson }}
{{- end -}}

{{/* A probe of the sidecar in CEL: `startupProbe: Object...{httpGet: ..., periodSeconds: 1}`. */}}
{{- define "entrupy-signature-proxy.injectProbe" -}}
{{- $type := printf "Object.spec.initContainers.%s" .name -}}
{{ .name }}: {{ $type }}{httpGet: {{ $type }}.httpGet{path: "{{ .path }}", port: "admin"}
{{- range $key, $number := include "entrupy-signature-proxy.probe" . | fromYaml }}, {{ $key }}: {{ int $number }}{{ end }}}
{{- end -}}

{{/* A labelled pod that meets "restricted", for a dry run: the notes ask with it whether the policies are in force. */}}
{{- define "entrupy-signature-proxy.trialPod" -}}
apiVersion: v1
kind: Pod
metadata:
  name: trial
  labels: {entrupy-signature-proxy/inject: "true"}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: trial
      image: trial
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
{{- end -}}
