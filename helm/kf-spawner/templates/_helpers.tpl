{{- /* Parts that every template uses. Each takes a dict with `root`, the chart's own scope, and what its comment says. */ -}}

{{- /* Labels of everything of a component. component. */ -}}
{{- define "kf.labels" -}}
{{ include "kf.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: kf-spawner
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Labels that find a component's pods; they never change. component. */ -}}
{{- define "kf.selector" -}}
app.kubernetes.io/name: kf-spawner
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* Reference of one of our images. name, and `image` with a name or tag of one's own. */ -}}
{{- define "kf.image" -}}
{{- $images := .root.Values.images }}
{{- $image := .image | default dict }}
{{- $name := $image.name | default (join "/" (compact (list $images.registry $images.repository .name))) }}
{{- printf "%s:%s" $name ($image.tag | default $images.tag | default .root.Chart.AppVersion) }}
{{- end }}

{{- /* Entries of `env` from a map of names to texts or to objects such as {valueFrom: …}. */ -}}
{{- define "kf.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  {{- if kindIs "map" $value }}
  {{- toYaml $value | nindent 2 }}
  {{- else }}
  value: {{ $value | toString | quote }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* The variables that name images: the same for hub and dashboard. */ -}}
{{- define "kf.imageEnv" -}}
- name: REGISTRY
  value: {{ .Values.images.registry | quote }}
- name: REPO_NAME
  value: {{ .Values.images.repository | quote }}
- name: KF_IMAGE_TAG
  value: {{ .Values.images.tag | default .Chart.AppVersion | quote }}
{{- end }}

{{- /* Name of the Secret with the installation's own secrets. */ -}}
{{- define "kf.secretName" -}}
{{ .Values.hub.existingSecret | default "hub" }}
{{- end }}

{{- /* An entry of `env` from that Secret. variable, key. */ -}}
{{- define "kf.secretEnv" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ include "kf.secretName" .root }}
      key: {{ .key }}
      {{- if .optional }}
      optional: true
      {{- end }}
{{- end }}

{{- /* Where browsers find the product, as far as the values say; empty where they do not. */ -}}
{{- define "kf.publicUrl" -}}
{{- $scheme := ternary "https" "http" (or .Values.proxy.https.enabled (not (empty .Values.ingress.tls))) }}
{{- if .Values.hub.publicUrl }}
{{- .Values.hub.publicUrl | trimSuffix "/" }}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts }}
{{- printf "%s://%s" $scheme (first .Values.ingress.hosts) }}
{{- else if and .Values.httpRoute.enabled .Values.httpRoute.hostnames }}
{{- printf "%s://%s" $scheme (first .Values.httpRoute.hostnames) }}
{{- end }}
{{- end }}

{{- /* The hub's host, where each user has a domain below it; empty where they have none. */ -}}
{{- define "kf.hubDomain" -}}
{{- if .Values.hub.subdomains.enabled }}
{{- $url := include "kf.publicUrl" . }}
{{- if not $url }}
{{- fail "hub.subdomains.enabled: users get domains below the hub's name: set hub.publicUrl, or name a host in ingress.hosts or httpRoute.hostnames" }}
{{- end }}
{{- $host := (urlParse $url).hostname }}
{{- if not (regexMatch "^([a-z0-9]([a-z0-9-]*[a-z0-9])?[.])*[a-z]([a-z0-9-]*[a-z0-9])?$" $host) }}
{{- fail (printf "hub.subdomains.enabled: users get domains below the hub's name, and %s has none: set hub.publicUrl to an address such as https://hub.example.com" $url) }}
{{- end }}
{{- $host }}
{{- end }}
{{- end }}

{{- /* The address of a service of the platform, which has a domain where users have one. root, name. */ -}}
{{- define "kf.serviceUrl" -}}
{{- include "kf.publicUrl" .root | replace "://" (printf "://%s--service." .name) }}
{{- end }}

{{- /* Hosts for an Ingress or a route: those given, and users' domains; none means all. root, hosts. */ -}}
{{- define "kf.hosts" -}}
{{- $hosts := .hosts }}
{{- with include "kf.hubDomain" .root }}
{{- if $hosts }}
{{- $hosts = append $hosts (printf "*.%s" .) | uniq }}
{{- end }}
{{- end }}
{{- $hosts | toJson }}
{{- end }}

{{- /* Where the cluster's pods find the door. */ -}}
{{- define "kf.doorUrl" -}}
http://door.{{ .Release.Namespace }}
{{- end }}

{{- /* Which nodes a platform pod goes to, and before whom. part, component. */ -}}
{{- define "kf.placement" -}}
{{- $core := .root.Values.scheduling.corePods }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $core.tolerations .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $affinity := deepCopy .part.affinity }}
{{- $purpose := include "kf.nodePurpose" (dict "match" $core.nodeAffinity.matchNodePurpose "purpose" "core") | fromYaml }}
{{- if $purpose.required }}
{{- $terms := dict "nodeSelectorTerms" (list $purpose.term) }}
{{- $affinity = merge $affinity (dict "nodeAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" $terms)) }}
{{- else if $purpose.term }}
{{- $preferred := list (dict "weight" 100 "preference" $purpose.term) }}
{{- $affinity = merge $affinity (dict "nodeAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $preferred)) }}
{{- end }}
{{- with $affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .root.Values.scheduling.podPriority.enabled }}
priorityClassName: {{ .root.Release.Name }}-default-priority
{{- end }}
{{- if gt (int .part.replicas) 1 }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "kf.selector" . | nindent 8 }}
{{- end }}
{{- end }}

{{- /* The term of a node affinity for nodes of a purpose, and whether it is a must. match, purpose. */ -}}
{{- define "kf.nodePurpose" -}}
{{- if ne .match "ignore" }}
required: {{ eq .match "require" }}
term:
  matchExpressions:
    - key: hub.jupyter.org/node-purpose
      operator: In
      values: [{{ .purpose }}]
{{- end }}
{{- end }}

{{- /* A probe by HTTP, unless it is off. name, values, path, port. */ -}}
{{- define "kf.probe" -}}
{{- if .values.enabled }}
{{ .name }}:
  httpGet:
    path: {{ .path }}
    port: {{ .port }}
  {{- toYaml (omit .values "enabled") | nindent 2 }}
{{- end }}
{{- end }}

{{- /* All three probes. part, port, live and ready, which are paths. The first answer may be late; from then on it counts. */ -}}
{{- define "kf.probes" -}}
{{- include "kf.probe" (dict "name" "startupProbe" "values" .part.startupProbe "path" .ready "port" .port) }}
{{- include "kf.probe" (dict "name" "livenessProbe" "values" .part.livenessProbe "path" .live "port" .port) }}
{{- include "kf.probe" (dict "name" "readinessProbe" "values" .part.readinessProbe "path" .ready "port" .port) }}
{{- end }}

{{- /* What a platform pod may: the Pod Security level `restricted`. part. */ -}}
{{- define "kf.podSecurityContext" -}}
{{- $ours := dict "runAsNonRoot" true "runAsUser" 1000 "runAsGroup" 100 "fsGroup" 100 "fsGroupChangePolicy" "OnRootMismatch" }}
{{- $_ := set $ours "seccompProfile" (dict "type" "RuntimeDefault") }}
{{- mergeOverwrite $ours (deepCopy .part.podSecurityContext) | toYaml }}
{{- end }}

{{- define "kf.containerSecurityContext" -}}
{{- $ours := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true }}
{{- $_ := set $ours "capabilities" (dict "drop" (list "ALL")) }}
{{- mergeOverwrite $ours (deepCopy .part.containerSecurityContext) | toYaml }}
{{- end }}

{{- /*
A platform part's Deployment. component, part (its values), image (the reference), replicas, strategy, account (a service
account that gets a token, or none), container (YAML: args, env, ports, probes, mounts), and where there are: volumes
(YAML), checksum (a change restarts the pod), grace (seconds).
*/ -}}
{{- define "kf.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .component }}
  labels:
    {{- include "kf.labels" . | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  revisionHistoryLimit: 3
  strategy:
    type: {{ .strategy }}
  selector:
    matchLabels:
      {{- include "kf.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "kf.labels" . | nindent 8 }}
        {{- with .part.labels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if or .checksum .part.annotations }}
      annotations:
        {{- with .checksum }}
        checksum/config: {{ . | sha256sum }}
        {{- end }}
        {{- with .part.annotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
    spec:
      {{- with .account }}
      serviceAccountName: {{ . }}
      {{- end }}
      automountServiceAccountToken: {{ not (empty .account) }}
      enableServiceLinks: false
      {{- if and .grace (not (hasKey .part.extraPodSpec "terminationGracePeriodSeconds")) }}
      terminationGracePeriodSeconds: {{ .grace }}
      {{- end }}
      securityContext:
        {{- include "kf.podSecurityContext" . | nindent 8 }}
      {{- with concat .root.Values.imagePullSecrets .part.image.pullSecrets }}
      imagePullSecrets:
        {{- range . }}
        - name: {{ . }}
        {{- end }}
      {{- end }}
      {{- with include "kf.placement" . }}
      {{- . | trim | nindent 6 }}
      {{- end }}
      {{- with .part.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ .image | quote }}
          imagePullPolicy: {{ .part.image.pullPolicy }}
          {{- .container | trim | nindent 10 }}
          resources:
            {{- toYaml .part.resources | nindent 12 }}
          securityContext:
            {{- include "kf.containerSecurityContext" . | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- with .mounts }}
            {{- . | trim | nindent 12 }}
            {{- end }}
            {{- with .part.extraVolumeMounts }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
        {{- with .part.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumes:
        - name: tmp
          emptyDir: {}
        {{- with .volumes }}
        {{- . | trim | nindent 8 }}
        {{- end }}
        {{- with .part.extraVolumes }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .part.extraPodSpec }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end }}

{{- /* A service account, unless somebody else makes it. component, part. */ -}}
{{- define "kf.serviceAccount" -}}
{{- if .part.serviceAccount.create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "kf.account" . }}
  labels:
    {{- include "kf.labels" . | nindent 4 }}
  {{- with .part.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{- define "kf.account" -}}
{{ .part.serviceAccount.name | default .component }}
{{- end }}

{{- /* Who may reach a part, unless that is off. component, part, rules (YAML: entries of `ingress`; none: no other part). */ -}}
{{- define "kf.networkPolicy" -}}
{{- if .part.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .component }}
  labels:
    {{- include "kf.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "kf.selector" . | nindent 6 }}
  policyTypes:
    - Ingress
    {{- if .part.networkPolicy.egress }}
    - Egress
    {{- end }}
  ingress:
    {{- concat (.rules | default "[]" | fromYamlArray) .part.networkPolicy.ingress | default list | toYaml | nindent 4 }}
  {{- with .part.networkPolicy.egress }}
  egress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{- /* A rule that lets other parts reach ports. root, from (components), ports. */ -}}
{{- define "kf.rule" -}}
- from:
    {{- range .from }}
    - podSelector:
        matchLabels:
          {{- include "kf.selector" (dict "root" $.root "component" .) | nindent 10 }}
    {{- end }}
  ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}

{{- /* How many pods of a part a drain leaves, where that is on. component, part. */ -}}
{{- define "kf.pdb" -}}
{{- with .part.pdb }}
{{- if .enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $.component }}
  labels:
    {{- include "kf.labels" $ | nindent 4 }}
spec:
  {{- if kindIs "invalid" .maxUnavailable }}
  minAvailable: {{ .minAvailable }}
  {{- else }}
  maxUnavailable: {{ .maxUnavailable }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "kf.selector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A Service inside the cluster. component, name, port, targetPort. */ -}}
{{- define "kf.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  labels:
    {{- include "kf.labels" . | nindent 4 }}
  {{- with .annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: ClusterIP
  selector:
    {{- include "kf.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ .port }}
      targetPort: {{ .targetPort }}
      protocol: TCP
{{- end }}
