{{/* What the operator may do where pipelines are: in every namespace, or in those that it watches. No wildcards. */}}

{{- define "weir.rules" -}}
- apiGroups: [weir.dev]
  resources: [streamingpipelines]
  verbs: [get, list, watch]
- apiGroups: [weir.dev] # it writes status, and replicas where spec.scaling says so; nothing else of a pipeline
  resources: [streamingpipelines/status, streamingpipelines/scale]
  verbs: [patch]
- apiGroups: [weir.dev] # owner references that block the owner's deletion need it where admission checks that
  resources: [streamingpipelines/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [pods, services, configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [projectcontour.io]
  resources: [httpproxies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [monitoring.coreos.com]
  resources: [podmonitors]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""] # whether what a pipeline names is there. Secrets: metadata only, which takes the same verb
  resources: [secrets, persistentvolumeclaims]
  verbs: [get]
- apiGroups: [""] # the key of a pipeline's resume tokens; it is never changed, and goes with the pipeline
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end }}
