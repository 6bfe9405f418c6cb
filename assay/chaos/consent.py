"""Who may be harmed: a context that was named, a namespace that says so, and pods that say so. Read, and nothing else.

A chaos tool that guesses its cluster, or takes whatever a selector finds, one day hits the wrong one. Each of the three
has to be said by somebody who owns it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay.chaos import readiness
from assay.errors import AssayError, UsageError
from assay.platform import reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from assay.platform import Platform

#: The label, and what it must say; the platform's manifests set it from the inventory's `platform_chaos`.
LABEL: Final = "assay.dev/chaos"
ALLOWED: Final = "allowed"
#: Where contexts are named.
CONTEXTS: Final = "ASSAY_CHAOS_CONTEXTS"
#: What runs a node itself is harmed with it, whoever consents.
_OF_THE_NODE: Final = frozenset({"kube-system", "kube-node-lease", "assay-chaos"})


def check_context(context: str, allowed: Collection[str], *, ours: bool) -> None:
    """Make sure that a cluster may be harmed.

    Args:
        context: Its context's name.
        allowed: The contexts that were named.
        ours: Whether it was made here to be harmed.

    Raises:
        UsageError: It is none of these.
    """
    if not ours and context not in allowed:
        raise UsageError(
            f"The context {context!r} is not one that may be harmed: if it is, say so with {CONTEXTS}={context}."
        )


def check_namespace(platform: Platform) -> None:
    """Make sure that the platform's namespace consents.

    Raises:
        UsageError: It does not.
        AssayError: It can't be asked.
    """
    labels = _ask(lambda: platform.core.read_namespace(platform.namespace), platform.namespace).metadata.labels
    if not _consents(labels):
        raise UsageError(
            f"The namespace {platform.namespace} of {platform.context} does not consent to be harmed: "
            f"label it {LABEL}={ALLOWED} (the inventory's platform_chaos), or name another."
        )


def check_everybody(platform: Platform, namespaces: Collection[str]) -> None:
    """Make sure that all pods that a foreign tool could hit consent: whom it chooses is not known before.

    Args:
        platform: Where.
        namespaces: Those that it may choose from; none: all of the cluster, as for what it does to nodes.

    Raises:
        UsageError: One does not, or another namespace than the platform's is meant.
        AssayError: It can't be asked.
    """
    others = set(namespaces) - {platform.namespace}
    if others:
        raise UsageError(
            f"The namespace {min(others)} is not the one under test ({platform.namespace}): name that one."
        )
    if namespaces:
        listed = _ask(lambda: platform.core.list_namespaced_pod(platform.namespace), platform.namespace)
    else:
        listed = _ask(platform.core.list_pod_for_all_namespaces, "every pod")
    _check_pods([pod for pod in listed.items if pod.metadata.namespace not in _OF_THE_NODE])


def check_target(platform: Platform, target: str) -> None:
    """Make sure that who is about to be harmed consents.

    Args:
        platform: Where.
        target: `pod/NAME`, `node/NAME` or an owner of pods such as `statefulset/NAME`; several with `+` between them.
            All pods of a node are harmed with it, and all of an owner.

    Raises:
        UsageError: It does not, or is no such thing.
        AssayError: It can't be asked.
    """
    for one in target.split("+"):
        kind, _, name = one.partition("/")
        if kind == "pod" and name:
            found = [_ask(lambda name=name: platform.core.read_namespaced_pod(name, platform.namespace), one)]
        elif kind == "node" and name:
            on_it = f"spec.nodeName={name}"
            listed = _ask(lambda on_it=on_it: platform.core.list_pod_for_all_namespaces(field_selector=on_it), one)
            found = [pod for pod in listed.items if pod.metadata.namespace not in _OF_THE_NODE]
        else:
            listed = _ask(lambda: platform.core.list_namespaced_pod(platform.namespace), one)
            found = [pod for pod in listed.items if name and (readiness.owner(pod) or "").lower() == one.lower()]
        if not found:
            raise UsageError(f"{one!r} is no pod, no node, and owns no pod: nobody can consent for it.")
        _check_pods(found)


def _check_pods(pods: Iterable[Any]) -> None:
    refusing = [pod.metadata for pod in pods if not _consents(pod.metadata.labels)]
    if refusing:
        raise UsageError(
            f"The pod {refusing[0].name} in {refusing[0].namespace} does not consent to be harmed: "
            f"label it {LABEL}={ALLOWED}, or choose another target."
        )


def _consents(labels: dict[str, str] | None) -> bool:
    return (labels or {}).get(LABEL) == ALLOWED


def _ask(question: Any, about: str) -> Any:
    try:
        return question()
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        raise AssayError(f"Whether {about} may be harmed can't be asked: {reason(error)}.") from None
