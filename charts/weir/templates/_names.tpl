{{/* What things are called. The Lease and the signing Secret have fixed names: one operator per namespace. */}}

{{- define "weir.name" -}}
{{ printf "%s-operator" (.Release.Name | trunc 50 | trimSuffix "-") }}
{{- end }}

{{/* Of objects outside of namespaces. */}}
{{- define "weir.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "weir.name" .) }}
{{- end }}

{{- define "weir.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "weir.name" .) }}
{{- end }}

{{- define "weir.selector" -}}
app.kubernetes.io/name: weir-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Repository and tag of the operator or, as `of`, the runtime: (dict "of" .Values.image "root" $). */}}
{{- define "weir.image" -}}
{{ printf "%s:%s" .of.repository (.of.tag | default .root.Chart.AppVersion) }}
{{- end }}
