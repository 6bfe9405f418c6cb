"""A node: its own files, mounts and programs (containerd, kubelet, kube-proxy), with one supervisor as PID 1."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from assay.clusters import kubeconfig, tunables

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.clusters.addresses import Addresses
    from assay.clusters.prepared import Prepared
    from assay.clusters.state import Record, State
    from assay.pki import Authority

POLICY_USER = "assay:network-policy"
"""As whom the nodes' policy engines ask the API server; see `addons` for what that user may."""
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

OWN_FOLDERS = {
    "kubelet": Path("/var/lib/kubelet"),
    "containerd": Path("/var/lib/containerd"),
    "cni-cache": Path("/var/lib/cni"),
    "pod-logs": Path("/var/log/pods"),
    "container-logs": Path("/var/log/containers"),
    "cni": Path("/etc/cni/net.d"),
}
"""The folders that each node has for itself: name in the node's folder → where it sees it. They outlive its death."""

MEMORY_FOLDERS = ("/run",)
"""Where each node has a file system of its own in memory, which dies with it, as at a machine's reboot."""

KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""A kubelet insists on setting these for the whole machine. A node has files of its own over them instead, which say
what the kubelet wants to read, so that the machine keeps its settings."""


@dataclass(frozen=True)
class Node:
    """One node of a cluster.

    Attributes:
        record: its cluster.
        number: from 1.
        state: its cluster's state folder.
    """

    record: Record
    number: int
    state: State

    @property
    def addresses(self) -> Addresses:
        """Its cluster's addresses."""
        return self.record.addresses

    @property
    def name(self) -> str:
        """Its name in Kubernetes, and its host name."""
        return f"{self.record.name}-node-{self.number}"

    @property
    def address(self) -> str:
        """Its address."""
        return str(self.addresses.node(self.number))

    @property
    def folder(self) -> Path:
        """Where its own files lie."""
        return self.state.node(self.name)

    @property
    def logs(self) -> Path:
        """Where its programs log."""
        return self.state.logs / self.name

    @property
    def pods_cgroup(self) -> str:
        """The cgroup that its kubelet divides among pods."""
        return f"{self.record.cgroup_tree}/{self.name}"

    @property
    def system_cgroup(self) -> str:
        """The cgroup of its own programs."""
        return f"{self.pods_cgroup}-system"

    def make_files(
        self, authority: Authority, prepared: Prepared, cni_folder: Path, name_servers: Sequence[str]
    ) -> None:
        """Write its identity and the configurations of its programs. Not its image store.

        Args:
            authority: signs its identity.
            prepared: the machine's prepared parts.
            cni_folder: where the CNI plugins are.
            name_servers: where cluster DNS forwards what it does not know.
        """
        for own in OWN_FOLDERS:
            if own != "containerd":
                (self.folder / own).mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        for setting, value in KERNEL_SETTINGS.items():
            self._kernel_setting(setting).write_text(value + "\n")
        authority.issue(f"system:node:{self.name}", ["system:nodes"], [self.name, self.address]).write(
            self.folder, "kubelet"
        )
        (self.folder / "ca.crt").write_bytes(authority.identity.certificate)
        for user, identity in {
            "kubelet": authority.issue(f"system:node:{self.name}", ["system:nodes"]),
            "kube-proxy": authority.issue("system:kube-proxy"),
            "network-policy": authority.issue(POLICY_USER),
        }.items():
            document = kubeconfig.for_identity(
                self.record.name, self.addresses.api_url, authority.identity.certificate, identity
            )
            kubeconfig.write(document, self.folder / f"{user}.kubeconfig")
        (self.folder / "resolv.conf").write_text("".join(f"nameserver {one}\n" for one in name_servers))
        (self.folder / "containerd.toml").write_text(_containerd(prepared.pause, cni_folder))
        (self.folder / "kubelet.yaml").write_text(yaml.safe_dump(self._kubelet()))
        (self.folder / "cni" / "10-assay.conflist").write_text(json.dumps(self._cni(), indent=1))

    def specification(self, prepared: Prepared, containerd: str, cgroups: list[str]) -> dict[str, Any]:
        """What its supervisor shall do.

        Args:
            prepared: the machine's prepared parts.
            containerd: the path of containerd.
            cgroups: folders of its system cgroup.
        """
        networked = {"address": self.address}
        api = {"url": [str(self.addresses.control_plane), 6443, "/readyz"]}

        def program(name: str, path: str, needs: list[dict[str, Any]], arguments: list[str]) -> dict[str, Any]:
            log = str(self.logs / f"{name}.log")
            return {"name": name, "argv": [path, *arguments], "environment": {}, "log": log, "needs": needs}

        programs = [
            program("containerd", containerd, [], ["--config", str(self.folder / "containerd.toml")]),
            program(
                "kubelet",
                prepared.component("kubelet"),
                [{"socket": CONTAINERD_SOCKET}, networked, api],
                [
                    f"--config={self.folder / 'kubelet.yaml'}",
                    f"--kubeconfig={self.folder / 'kubelet.kubeconfig'}",
                    f"--hostname-override={self.name}",
                    f"--node-ip={self.address}",
                ],
            ),
            program(
                "kube-proxy",
                prepared.component("kube-proxy"),
                [networked, api],
                [
                    f"--kubeconfig={self.folder / 'kube-proxy.kubeconfig'}",
                    f"--hostname-override={self.name}",
                    f"--cluster-cidr={self.addresses.range}",
                    "--proxy-mode=nftables",
                    "--conntrack-max-per-core=0",
                    "--conntrack-tcp-timeout-established=0",
                    "--conntrack-tcp-timeout-close-wait=0",
                    "--oom-score-adj=0",
                    f"--bind-address={self.address}",
                ],
            ),
        ]
        if prepared.has("network-policy"):
            arguments = [
                f"--kubeconfig={self.folder / 'network-policy.kubeconfig'}",
                f"--node-name={self.name}",
                f"--pod-range={self.addresses.pods(self.number)}",
            ]
            programs.append(
                program("network-policy", prepared.component("network-policy"), [networked, api], arguments)
            )
        mounts: list[dict[str, str]] = [
            *(
                {"kind": "bind", "source": str(self.folder / own), "target": str(seen)}
                for own, seen in OWN_FOLDERS.items()
            ),
            *(
                {"kind": "bind", "source": str(self._kernel_setting(one)), "target": f"/proc/sys/{one}"}
                for one in KERNEL_SETTINGS
            ),
            *({"kind": "tmpfs", "source": "", "target": target} for target in MEMORY_FOLDERS),
        ]
        return {
            "hostname": self.name,
            "cgroups": cgroups,
            "mounts": mounts,
            "sysctls": {"net/ipv4/ip_forward": "1", "net/bridge/bridge-nf-call-iptables": "1"},
            "programs": programs,
        }

    def _kernel_setting(self, setting: str) -> Path:
        return self.folder / ("sysctl-" + setting.replace("/", "-"))

    def _kubelet(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.folder / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(self.folder / "kubelet.crt"),
            "tlsPrivateKeyFile": str(self.folder / "kubelet.key"),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.pods_cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [str(self.addresses.dns)],
            "clusterDomain": "cluster.local",
            "resolvConf": str(self.folder / "resolv.conf"),
            "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            "serializeImagePulls": False,
            "maxPods": tunables.MAX_PODS,
            "nodeStatusUpdateFrequency": f"{tunables.NODE_STATUS_SECONDS}s",
            "nodeLeaseDurationSeconds": tunables.NODE_LEASE_SECONDS,
            "crashLoopBackOff": {"maxContainerRestartPeriod": f"{tunables.RESTART_SECONDS}s"},
            "seccompDefault": True,
            "oomScoreAdj": 0,  # a lower value needs CAP_SYS_RESOURCE
            # Nodes share the machine's disk, and nothing could be pulled again: no eviction for want of disk.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
                "imagefs.inodesFree": "0%",
            },
        }

    def _cni(self) -> dict[str, Any]:
        # ptp routes every pod's packets through the node's own hooks, so that Services and policies work
        # between pods of one node without a bridge's netfilter module.
        return {
            "cniVersion": "0.4.0",
            "name": "assay",
            "plugins": [
                {
                    "type": "ptp",
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": "/run/cni-addresses",
                        "ranges": [[{"subnet": str(self.addresses.pods(self.number))}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }


def _containerd(pause: str, cni_folder: Path) -> str:
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
    "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Without CAP_SYS_RESOURCE a container's score can't go below containerd's own.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_folder}"
conf_dir = "/etc/cni/net.d"
"""


def nodes_of(record: Record, state: State) -> list[Node]:
    """All nodes of a cluster."""
    return [Node(record, number, state) for number in range(1, record.nodes + 1)]
