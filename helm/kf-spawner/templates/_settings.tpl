{{- /*
The hub's settings from the values: class -> trait -> value, as JSON. A row names class, trait and value; a value that
says nothing (null, "", [], {}) sets nothing, so that the hub's own default holds.
*/ -}}
{{- define "kf.settings" -}}
{{- $hub := .Values.hub }}
{{- $user := .Values.singleuser }}
{{- $storage := $user.storage }}
{{- $pods := .Values.scheduling.userPods }}
{{- $purpose := include "kf.nodePurpose" (dict "match" $pods.nodeAffinity.matchNodePurpose "purpose" "user") | fromYaml }}
{{- $preferred := $user.extraNodeAffinity.preferred }}
{{- if and $purpose.term (not $purpose.required) }}
{{- $preferred = append $preferred (dict "weight" 100 "preference" $purpose.term) }}
{{- end }}
{{- $rows := list
  (list "JupyterHub" "allow_named_servers" $hub.allowNamedServers)
  (list "JupyterHub" "named_server_limit_per_user" $hub.namedServerLimitPerUser)
  (list "JupyterHub" "concurrent_spawn_limit" $hub.concurrentSpawnLimit)
  (list "JupyterHub" "active_server_limit" $hub.activeServerLimit)
  (list "JupyterHub" "shutdown_on_logout" $hub.shutdownOnLogout)
  (list "JupyterHub" "redirect_to_server" $hub.redirectToServer)
  (list "JupyterHub" "authenticate_prometheus" $hub.authenticatePrometheus)
  (list "JupyterHub" "upgrade_db" $hub.db.upgrade)
  (list "KubeflowSpawner" "consecutive_failure_limit" $hub.consecutiveFailureLimit)
  (list "KubeflowSpawner" "default_url" $user.defaultUrl)
  (list "KubeflowSpawner" "start_timeout" $user.startTimeout)
  (list "KubeflowSpawner" "uid" $user.uid)
  (list "KubeflowSpawner" "fs_gid" $user.fsGid)
  (list "KubeflowSpawner" "cmd" $user.cmd)
  (list "KubeflowSpawner" "allow_privilege_escalation" $user.allowPrivilegeEscalation)
  (list "KubeflowSpawner" "network_policy" (include "kf.userPolicy" . | fromYaml))
  (list "KubeflowSpawner" "environment" $user.extraEnv)
  (list "KubeflowSpawner" "extra_labels" $user.extraLabels)
  (list "KubeflowSpawner" "extra_annotations" $user.extraAnnotations)
  (list "KubeflowSpawner" "init_containers" $user.initContainers)
  (list "KubeflowSpawner" "extra_containers" $user.extraContainers)
  (list "KubeflowSpawner" "lifecycle_hooks" $user.lifecycleHooks)
  (list "KubeflowSpawner" "image_pull_policy" $user.image.pullPolicy)
  (list "KubeflowSpawner" "image_pull_secrets" $user.image.pullSecrets)
  (list "KubeflowSpawner" "default_cpu" $user.cpu.guarantee "text")
  (list "KubeflowSpawner" "min_cpu" $user.cpu.min "text")
  (list "KubeflowSpawner" "max_cpu" $user.cpu.max "text")
  (list "KubeflowSpawner" "default_memory" $user.memory.guarantee "text")
  (list "KubeflowSpawner" "min_memory" $user.memory.min "text")
  (list "KubeflowSpawner" "max_memory" $user.memory.max "text")
  (list "KubeflowSpawner" "memory_limit_factor" $user.memory.limitFactor)
  (list "KubeflowSpawner" "max_gpus" $user.maxGpus)
  (list "KubeflowSpawner" "quota" (include "kf.amounts" $user.quota.hard | fromYaml))
  (list "KubeflowSpawner" "default_requests" (include "kf.amounts" $user.defaultRequests | fromYaml))
  (list "KubeflowSpawner" "home_size" $storage.capacity "text")
  (list "KubeflowSpawner" "max_home_size" $storage.maxCapacity "text")
  (list "KubeflowSpawner" "storage_class" $storage.dynamic.storageClass)
  (list "KubeflowSpawner" "storage_access_modes" $storage.dynamic.storageAccessModes)
  (list "KubeflowSpawner" "storage_extra_labels" $storage.extraLabels)
  (list "KubeflowSpawner" "volumes" $storage.extraVolumes)
  (list "KubeflowSpawner" "volume_mounts" $storage.extraVolumeMounts)
  (list "KubeflowSpawner" "node_selector" $user.nodeSelector)
  (list "KubeflowSpawner" "tolerations" (concat $pods.tolerations $user.extraTolerations))
  (list "KubeflowSpawner" "node_affinity_required" (include "kf.userNodes" . | fromJsonArray))
  (list "KubeflowSpawner" "node_affinity_preferred" $preferred)
  (list "KubeflowSpawner" "pod_affinity_required" $user.extraPodAffinity.required)
  (list "KubeflowSpawner" "pod_affinity_preferred" $user.extraPodAffinity.preferred)
  (list "KubeflowSpawner" "pod_anti_affinity_required" $user.extraPodAntiAffinity.required)
  (list "KubeflowSpawner" "pod_anti_affinity_preferred" $user.extraPodAntiAffinity.preferred)
  (list "KubeflowSpawner" "priority_class_name" (ternary (printf "%s-default-priority" .Release.Name) "" .Values.scheduling.podPriority.enabled))
-}}
{{- $settings := dict }}
{{- range $rows }}
{{- $value := index . 2 }}
{{- if or $value (kindIs "bool" $value) (kindIs "float64" $value) (kindIs "int64" $value) }}
{{- $traits := get $settings (index . 0) | default dict }}
{{- $_ := set $traits (index . 1) (ternary (toString $value) $value (gt (len .) 3)) }}
{{- $_ := set $settings (index . 0) $traits }}
{{- end }}
{{- end }}
{{- if not $user.quota.enabled }}
{{- $_ := set $settings.KubeflowSpawner "quota" dict }}
{{- end }}
{{- with $user.extraPodConfig }}
{{- /* Without it a Service named "jupyter" would set JUPYTER_PORT in every server of its namespace. */ -}}
{{- $_ := set $settings.KubeflowSpawner "extra_pod_config" (merge (deepCopy .) (dict "enableServiceLinks" false)) }}
{{- end }}
{{- if .Values.debug.enabled }}
{{- $_ := set $settings "Application" (dict "log_level" "DEBUG") }}
{{- end }}
{{- range $class, $traits := $hub.config }}
{{- $_ := set $settings $class (mergeOverwrite (get $settings $class | default dict) (deepCopy $traits)) }}
{{- end }}
{{- $settings | toPrettyJson }}
{{- end }}

{{- /* Amounts by resource as texts: as a number, one from a large float would not be what was written. */ -}}
{{- define "kf.amounts" -}}
{{- range $name, $amount := . }}
{{- if not (kindIs "invalid" $amount) }}
{{ $name | quote }}: {{ $amount | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The terms of which a node for users' servers fulfils one, as JSON. */ -}}
{{- define "kf.userNodes" -}}
{{- $purpose := include "kf.nodePurpose" (dict "match" .Values.scheduling.userPods.nodeAffinity.matchNodePurpose "purpose" "user") | fromYaml }}
{{- $terms := .Values.singleuser.extraNodeAffinity.required }}
{{- if $purpose.required }}
{{- $both := list }}
{{- range $terms | default (list dict) }}
{{- $both = append $both (merge (dict "matchExpressions" (concat (.matchExpressions | default list) $purpose.term.matchExpressions)) .) }}
{{- end }}
{{- $terms = $both }}
{{- end }}
{{- $terms | toJson }}
{{- end }}

{{- /* The spec of the NetworkPolicy of users' namespaces; empty where that is off. */ -}}
{{- define "kf.userPolicy" -}}
{{- with .Values.singleuser.networkPolicy }}
{{- if .enabled }}
podSelector: {}
policyTypes: [Ingress, Egress]
ingress:
  - from:
      - podSelector: {}
      {{- range $component := list "hub" "proxy" "door" }}
      - namespaceSelector:
          matchLabels:
            kubernetes.io/metadata.name: {{ $.Release.Namespace }}
        podSelector:
          matchLabels:
            {{- include "kf.selector" (dict "root" $ "component" $component) | nindent 12 }}
      {{- end }}
  {{- with .ingress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
egress:
  # All but the clouds' metadata, where a pod would get its node's identity: link-local addresses, Azure's and Alibaba's,
  # and in IPv6 AWS's and Google's. Some networks count pods with no block.
  - to:
      - namespaceSelector: {}
      - ipBlock:
          cidr: 0.0.0.0/0
          except: [169.254.0.0/16, 168.63.129.16/32, 100.100.100.200/32]
      - ipBlock:
          cidr: ::/0
          except: ["fe80::/10", "fd00:ec2::/32", "fd20:ce::/32"]
  # Names, which some clouds answer at those addresses, and the API server, whose node some networks count with no block.
  - ports:
      - {port: 53, protocol: UDP}
      - {port: 53, protocol: TCP}
      - {port: 443, protocol: TCP}
      - {port: 6443, protocol: TCP}
  {{- with .egress }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What is appended to the hub's own lists: class -> trait -> list, as JSON. */ -}}
{{- define "kf.additions" -}}
{{- $additions := dict }}
{{- with .Values.singleuser.image.name }}
{{- $image := $.Values.singleuser.image }}
{{- $entry := dict "name" $image.label "reference" (printf "%s:%s" . ($image.tag | default "latest")) "description" $image.description }}
{{- $_ := set $additions "KubeflowSpawner" (dict "images" (list $entry)) }}
{{- end }}
{{- $roles := list }}
{{- range $name, $role := .Values.hub.loadRoles }}
{{- $roles = append $roles (merge (dict "name" $name) $role) }}
{{- end }}
{{- $services := list }}
{{- with .Values.cull }}
{{- if .enabled }}
{{- $name := "jupyterhub-idle-culler" }}
{{- $command := list "python" "-m" "jupyterhub_idle_culler"
  (printf "--timeout=%d" (int .timeout))
  (printf "--cull-every=%d" (int .every))
  (printf "--max-age=%d" (int .maxAge))
  (printf "--cull-users=%t" .users)
  (printf "--cull-admin-users=%t" .adminUsers)
  (printf "--remove-named-servers=%t" .removeNamedServers)
  (printf "--concurrency=%d" (int .concurrency))
}}
{{- $services = append $services (dict "name" $name "command" $command) }}
{{- $scopes := list "list:users" "read:users:activity" "read:servers" "delete:servers" }}
{{- if .users }}
{{- $scopes = append $scopes "delete:users" }}
{{- end }}
{{- $roles = append $roles (dict "name" $name "services" (list $name) "scopes" $scopes) }}
{{- end }}
{{- end }}
{{- $_ := set $additions "JupyterHub" (dict "load_roles" $roles "services" $services) }}
{{- $additions | toPrettyJson }}
{{- end }}
