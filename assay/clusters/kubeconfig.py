"""Kubeconfig files: written for our own clusters, and read, merged and cut down for others'."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from assay.errors import UsageError
from assay.pki import Identity, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Document = dict[str, Any]


def for_identity(context: str, url: str, authority: bytes, identity: Identity) -> Document:
    """A kubeconfig with one context, everything embedded.

    Args:
        context: the name of context, cluster and user.
        url: the API server.
        authority: the certificate (PEM) that its certificate is checked with.
        identity: who to be.
    """

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "clusters": [{"name": context, "cluster": {"server": url, "certificate-authority-data": encoded(authority)}}],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": encoded(identity.certificate),
                    "client-key-data": encoded(identity.key),
                },
            }
        ],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
    }


def write(document: Document, path: Path) -> Path:
    """Write it, readable by its owner only.

    Returns:
        The path.
    """
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())
    return path


def default_paths(environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The files that `kubectl` would read: those of KUBECONFIG (colon-separated), else ~/.kube/config."""
    named = [Path(one) for one in environment.get("KUBECONFIG", "").split(os.pathsep) if one]
    return tuple(named) or (Path.home() / ".kube" / "config",)


def merge(paths: Sequence[Path]) -> Document:
    """All files as one document, as `kubectl` does: the first to name a thing wins, missing files are passed over.

    Relative paths inside a file are made absolute, since they mean the file's own folder.

    Raises:
        UsageError: none of the files exists, or one is not a kubeconfig.
    """
    merged: Document = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    found = False
    for path in paths:
        if not path.is_file():
            continue
        found = True
        document = _read(path)
        if document.get("current-context"):
            merged.setdefault("current-context", document["current-context"])
        for section in ("clusters", "users", "contexts"):
            known = {one["name"] for one in merged[section]}
            merged[section] += [one for one in document.get(section) or [] if one["name"] not in known]
    if not found:
        raise UsageError(
            f"no kubeconfig found at {', '.join(map(str, paths))}; set KUBECONFIG or give --kubeconfig a file"
        )
    return merged


def minify(document: Document, context: str | None) -> Document:
    """Only what one context needs.

    Args:
        document: as from `merge`.
        context: the context's name; None means the current one.

    Raises:
        UsageError: there is no such context, or what it refers to is missing.
    """
    names = sorted(one["name"] for one in document["contexts"])
    known = ", ".join(names) or "none"
    name = context or document.get("current-context")
    if not name:
        raise UsageError(f"the kubeconfig has no current context; give --context one of: {known}")
    chosen = _named(document, "contexts", name)
    if chosen is None:
        raise UsageError(f"context {name!r} is not in the kubeconfig; it knows: {known}")
    details = chosen.get("context") or {}
    cluster = _named(document, "clusters", details.get("cluster"))
    user = _named(document, "users", details.get("user"))
    if cluster is None or user is None:
        what = "cluster" if cluster is None else "user"
        raise UsageError(f"context {name!r} refers to {what} {details.get(what)!r}, which the kubeconfig does not have")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [cluster],
        "users": [user],
        "contexts": [chosen],
    }


def _named(document: Document, section: str, name: object) -> Document | None:
    return next((one for one in document[section] if one["name"] == name), None)


def _read(path: Path) -> Document:
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"kubeconfig {path} can't be read: {str(error).splitlines()[0]}") from error
    if document is None:
        return {}
    sections = ("clusters", "users", "contexts")
    if not isinstance(document, dict) or not all(
        isinstance(one, dict) and "name" in one for section in sections for one in document.get(section) or []
    ):
        raise UsageError(f"{path} is not a kubeconfig: clusters, users and contexts must be lists of named entries")
    for section, inner, keys in (
        ("clusters", "cluster", ("certificate-authority",)),
        ("users", "user", ("client-certificate", "client-key", "tokenFile")),
    ):
        for one in document.get(section) or []:
            details = one.get(inner) or {}
            for key in keys:
                if details.get(key):
                    details[key] = str((path.parent / details[key]).absolute())
    return document
