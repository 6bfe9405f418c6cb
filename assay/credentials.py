"""The certificates that a platform's Kafka wants of us: out of its Secrets, into files beside the kubeconfig.

A platform says in its namespace's annotation whether it wants any. They are fetched whenever a platform is reached,
since a rotation changes them; `assay.kafka.identity` says who uses them. Files of one's own, named in the environment,
are left alone.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubernetes import client

from assay.errors import AssayError
from assay.kafka.identity import AUTHORITIES, CERTIFICATE, KEY, PRODUCER_CERTIFICATE, PRODUCER_KEY, Identity
from assay.platform import reason

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from assay.platform import Platform

#: What the namespace of a platform with certificates says.
ANNOTATION: Final = "assay.dev/kafka-security"
MTLS: Final = "mtls"
#: Who asks and reads back, and who sends.
_ADMIN: Final = "admin"
_PRODUCER: Final = "producer"
#: The end of the name of a platform's folder.
_FOLDER: Final = ".kafka"
_FILES: Final = ("ca.crt", "tls.crt", "tls.key")


def wanted(platform: Platform) -> bool:
    """Whether the platform's Kafka wants certificates.

    Raises:
        AssayError: The namespace can't be read.
    """
    try:
        namespace = platform.core.read_namespace(platform.namespace)
    except client.ApiException as error:
        raise AssayError(f"The namespace {platform.namespace!r} can't be read: {reason(error)}.") from None
    return (namespace.metadata.annotations or {}).get(ANNOTATION) == MTLS


def folder(kubeconfig: Path, namespace: str) -> Path:
    """Where the files of a platform are: beside the kubeconfig it is reached by."""
    return kubeconfig.with_name(f"{kubeconfig.name}.{namespace}{_FOLDER}")


def forget(kubeconfig: Path, namespace: str) -> None:
    """Remove the files of a platform that is gone, if there are any."""
    shutil.rmtree(folder(kubeconfig, namespace), ignore_errors=True)


def fetch(platform: Platform, principal: str) -> Identity:
    """Write a principal's certificate, its key and the trusted authorities as they are now; only we can read them.

    Raises:
        AssayError: There is no such Secret, or it can't be read.
    """
    chosen = f"app.kubernetes.io/name=kafka-certificates,app.kubernetes.io/component=kafka-{principal}"
    try:
        found = platform.core.list_namespaced_secret(platform.namespace, label_selector=chosen).items
    except client.ApiException as error:
        raise AssayError(
            f"Kafka's certificate for {principal} in {platform.namespace} can't be read ({reason(error)}): "
            f"have the files given to you, and name them by {AUTHORITIES}, {CERTIFICATE} and {KEY}."
        ) from None
    if len(found) != 1:
        raise AssayError(
            f"There is no certificate for Kafka's {principal} in {platform.namespace}: provision with `assay deploy`."
        )
    place = folder(platform.kubeconfig, platform.namespace) / principal
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _FILES:
        _write(place / name, base64.b64decode(found[0].data[name]))
    return Identity(*(place / name for name in _FILES))


def provide(platform: Platform, environment: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """Name the platform's certificates in the environment, freshly fetched; returns what is named (nothing: none are).

    Somebody's own files that are named there stay; those that were fetched, also of another platform, do not.

    Raises:
        AssayError: They are wanted and can't be had.
    """
    names = (AUTHORITIES, CERTIFICATE, KEY, PRODUCER_CERTIFICATE, PRODUCER_KEY)
    named = {name: environment[name] for name in names if environment.get(name)}
    if not all(_fetched(Path(text)) for text in named.values()):
        return named
    for name in named:
        del environment[name]
    if not wanted(platform):
        return {}
    admin, producer = fetch(platform, _ADMIN), fetch(platform, _PRODUCER)
    files = (admin.authorities, admin.certificate, admin.key, producer.certificate, producer.key)
    named = dict(zip(names, map(str, files), strict=True))
    environment.update(named)
    return named


def _fetched(path: Path) -> bool:
    """Whether `fetch` has written a file, for whichever platform."""
    return path.name in _FILES and path.parent.parent.name.endswith(_FOLDER)


def _write(path: Path, content: bytes) -> None:
    """Replace a file at once, if it differs: somebody may just read it."""
    if path.exists() and path.read_bytes() == content:
        return
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    new.touch(mode=0o600)
    new.write_bytes(content)
    new.replace(path)
