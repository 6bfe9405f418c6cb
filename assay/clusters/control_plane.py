"""The control plane: its identities, files and programs, in the fabric's namespaces with one supervisor as PID 1."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any

import yaml

from assay.clusters import auditing, kubeconfig, tunables
from assay.pki import Authority, signing_pair, write_private

if TYPE_CHECKING:
    from pathlib import Path

    from assay.clusters.addresses import Addresses
    from assay.clusters.prepared import Prepared
    from assay.clusters.state import State
    from assay.pki import Identity

ROLE = "control-plane"
ETCD_URL = "http://127.0.0.1:2379"  # the fabric's own loopback: nothing outside of its namespaces reaches it
KUBELET_CLIENT = "assay-kubelet-client"
FRONT_PROXY = "front-proxy-client"


def make_identities(state: State, addresses: Addresses, context: str) -> Authority:
    """Make everything secret: the authority, the control plane's identities, signing and encryption keys, kubeconfigs.

    Returns:
        The authority, to sign the nodes' identities with.
    """
    state.pki.mkdir(parents=True, exist_ok=True)
    authority = Authority(context)
    authority.identity.write(state.pki, "ca")
    hosts = [
        *("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
        *("localhost", "127.0.0.1", str(addresses.control_plane), str(addresses.api_service)),
    ]
    authority.issue("kube-apiserver", hosts=hosts).write(state.pki, "apiserver")
    authority.issue(KUBELET_CLIENT).write(state.pki, "kubelet-client")
    front = Authority(f"{context}-front-proxy")  # for API servers that extend this one: nobody else may speak for users
    front.identity.write(state.pki, "front-proxy-ca")
    front.issue(FRONT_PROXY).write(state.pki, "front-proxy")
    private, public = signing_pair()
    write_private(state.pki / "service-accounts.key", private)
    (state.pki / "service-accounts.pub").write_bytes(public)
    write_private(state.pki / "encryption.yaml", yaml.safe_dump(_encryption(secrets.token_bytes(32))).encode())

    def client(path: Path, identity: Identity) -> None:
        document = kubeconfig.for_identity(context, addresses.api_url, authority.identity.certificate, identity)
        kubeconfig.write(document, path)

    for user in ("kube-controller-manager", "kube-scheduler"):
        client(state.pki / f"{user}.kubeconfig", authority.issue(f"system:{user}"))
    # The provisioner acts for the cluster's administrator: it runs where the keys of all others lie anyway.
    client(state.kubeconfig, authority.issue("assay-admin", ["system:masters"]))
    return authority


def specification(state: State, addresses: Addresses, prepared: Prepared, cgroups: list[str]) -> dict[str, Any]:
    """What the supervisor of the control plane shall do."""
    api_ready = [{"url": [str(addresses.control_plane), 6443, "/readyz"]}]

    def program(name: str, needs: list[dict[str, Any]], arguments: list[str]) -> dict[str, Any]:
        return {
            "name": name,
            "argv": [prepared.component(name), *arguments],
            "environment": {},
            "log": str(state.logs / f"{name}.log"),
            "needs": needs,
        }

    programs = [
        program("etcd", [], _etcd(state)),
        program("kube-apiserver", [{"address": str(addresses.control_plane)}], _api_server(state, addresses)),
        program("kube-controller-manager", api_ready, _controller_manager(state)),
        program("kube-scheduler", api_ready, _scheduler(state)),
    ]
    if prepared.has("volume-provisioner"):
        arguments = [f"--kubeconfig={state.kubeconfig}", f"--folder={state.volumes}"]
        programs.append(program("volume-provisioner", api_ready, arguments))
    return {"hostname": None, "cgroups": cgroups, "mounts": [], "sysctls": {}, "programs": programs}


def _encryption(key: bytes) -> dict[str, Any]:
    named = {"name": "generated", "secret": base64.b64encode(key).decode()}
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": [{"secretbox": {"keys": [named]}}, {"identity": {}}]}],
    }


def _etcd(state: State) -> list[str]:
    return [
        f"--data-dir={state.etcd}",
        f"--listen-client-urls={ETCD_URL}",
        f"--advertise-client-urls={ETCD_URL}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
        "--log-level=warn",
    ]


def _api_server(state: State, addresses: Addresses) -> list[str]:
    pki = state.pki
    return [
        f"--advertise-address={addresses.control_plane}",
        f"--bind-address={addresses.control_plane}",
        "--secure-port=6443",
        f"--etcd-servers={ETCD_URL}",
        f"--service-cluster-ip-range={addresses.services}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
        f"--encryption-provider-config={pki / 'encryption.yaml'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        *auditing.flags(state),
        f"--default-not-ready-toleration-seconds={tunables.DEFAULT_TOLERATION_SECONDS}",
        f"--default-unreachable-toleration-seconds={tunables.DEFAULT_TOLERATION_SECONDS}",
    ]


def _controller_manager(state: State) -> list[str]:
    pki = state.pki
    config = pki / "kube-controller-manager.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        f"--node-monitor-period={tunables.NODE_MONITOR_SECONDS}s",
        f"--node-monitor-grace-period={tunables.NODE_GRACE_SECONDS}s",
    ]


def _scheduler(state: State) -> list[str]:
    config = state.pki / "kube-scheduler.kubeconfig"
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]
