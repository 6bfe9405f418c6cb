"""What every cluster needs in its API before it is of use: access for its own parts, a StorageClass, DNS. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from assay.clusters import control_plane, node

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.clusters.addresses import Addresses
    from assay.clusters.prepared import Prepared

MANAGER = "assay-cluster"
DISKS = {"filesystem": "ext4"}
"""The parameters of a StorageClass whose claims of one node get disks; see `cluster/volumes`."""
NO_DISKS = "assay.dev/no-disks"
"""The annotation of a StorageClass that says why its volumes are no disks."""


def documents(
    addresses: Addresses, prepared: Prepared, name_servers: Sequence[str], no_disks: str | None = None
) -> list[dict[str, Any]]:
    """All documents, in the order in which they are applied.

    Args:
        addresses: the cluster's.
        prepared: the machine's prepared parts.
        name_servers: where DNS forwards what it does not know; none means it answers for the cluster only.
        no_disks: why this machine can't have disks of their own size, in one sentence; None if it can.
    """
    return [
        *_policy_access(),
        _kubelet_access(),
        *_storage(prepared, no_disks),
        *_dns(addresses, prepared, name_servers),
    ]


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": MANAGER}


def _kubelet_access() -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "assay-kubelet-client", "labels": _labels("kubelet-client")},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:kubelet-api-admin",
        },
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": control_plane.KUBELET_CLIENT}],
    }


def _policy_access() -> list[dict[str, Any]]:
    """The policy engine reads what policies are about, and nothing else."""
    name = "assay-network-policy"
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name, "labels": _labels(name)}}
    return [
        {
            **head,
            "kind": "ClusterRole",
            "rules": [
                {"apiGroups": [""], "resources": ["pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["list", "watch"]},
            ],
        },
        {
            **head,
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": node.POLICY_USER}],
        },
    ]


def _storage(prepared: Prepared, no_disks: str | None) -> list[dict[str, Any]]:
    """The default class: a disk for each claim of one node, where the machine can; and one of folders only."""
    if not prepared.has("volume-provisioner"):
        return []
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    return [
        _class("standard", default | ({NO_DISKS: no_disks} if no_disks else {}), {} if no_disks else DISKS),
        _class("folder", {}, {}),
    ]


def _class(name: str, annotations: dict[str, str], parameters: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "labels": _labels("storage"), "annotations": annotations},
        "provisioner": "assay.dev/host-folder",
        "parameters": parameters,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }


def _dns(addresses: Addresses, prepared: Prepared, name_servers: Sequence[str]) -> list[dict[str, Any]]:
    """One server a node, which the node's own pods ask: names go with a node, and with no other one.

    Asked at any server, a share of all questions goes to a node that is dead, until it is marked so: resolvers keep to
    the server that they were sent to first, and give up. (Clouds do the same with NodeLocal DNSCache.)

    The cluster's own names are not cached, as in kubeadm's configuration: the server has them in memory, and a pod that
    was made anew would be sought at its old address, or not be found, for as long as the cache lasts.
    """
    forward = f"forward . {' '.join(name_servers[:3])}" if name_servers else ""
    corefile = f"""
.:53 {{
    errors
    health :8080 {{
        lameduck 5s
    }}
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }}
    {forward}
    cache 30 {{
        disable success cluster.local
        disable denial cluster.local
    }}
}}
"""
    text = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: coredns, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: "system:coredns"}}
rules:
  - {{apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}}
  - {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: "system:coredns"}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}}
subjects: [{{kind: ServiceAccount, name: coredns, namespace: kube-system}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: coredns, namespace: kube-system}}
data: {{}}
---
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  clusterIP: {addresses.dns}
  selector: {{k8s-app: kube-dns}}
  internalTrafficPolicy: Local
  ports:
    - {{name: dns, port: 53, protocol: UDP, targetPort: 53}}
    - {{name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: coredns, namespace: kube-system, labels: {{k8s-app: kube-dns}}}}
spec:
  selector: {{matchLabels: {{k8s-app: kube-dns}}}}
  template:
    metadata: {{labels: {{k8s-app: kube-dns}}}}
    spec:
      serviceAccountName: coredns
      priorityClassName: system-cluster-critical
      dnsPolicy: Default
      tolerations:
        - {{operator: Exists}}
      containers:
        - name: coredns
          image: {prepared.pause}
          imagePullPolicy: IfNotPresent
          command: [/coredns, -conf, /etc/coredns/Corefile]
          ports:
            - {{name: dns, containerPort: 53, protocol: UDP}}
            - {{name: dns-tcp, containerPort: 53, protocol: TCP}}
          resources:
            requests: {{cpu: 20m, memory: 40Mi}}
            limits: {{memory: 256Mi}}
          livenessProbe:
            httpGet: {{path: /health, port: 8080}}
            initialDelaySeconds: 20
            timeoutSeconds: 5
            failureThreshold: 5
          readinessProbe:
            httpGet: {{path: /ready, port: 8181}}
            periodSeconds: 1
          securityContext:
            runAsUser: 0 # port 53 needs a capability, which only root gets; whatever user the image names
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{add: [NET_BIND_SERVICE], drop: [ALL]}}
          volumeMounts:
            - {{name: config, mountPath: /etc/coredns, readOnly: true}}
            - {{name: binary, mountPath: /coredns, readOnly: true}}
      volumes:
        - name: config
          configMap: {{name: coredns}}
        - name: binary
          hostPath: {{path: "{(prepared.bin / "assay-cluster").resolve()}", type: File}}
"""
    parsed: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    for document in parsed:
        document["metadata"].setdefault("labels", {}).update(_labels("coredns"))
        if document["kind"] == "ConfigMap":
            document["data"] = {"Corefile": corefile}
    return parsed
