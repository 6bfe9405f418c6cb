"""Audit: what is asked of the API server is found again in its audit log."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from kubernetes import client

from assay.posture.authorities import cis, nsa
from assay.posture.probe import Finding, Probe, held, unverifiable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assay.posture.scene import Event, Scene

#: How long the API server may take to write an event, in seconds.
_WRITE_SECONDS: Final = 15.0
_ABSENT: Final = 404

FOUND: Final = Probe(
    name="audit/found",
    tried="ask for a Secret that is not there, and look for that in the API server's audit log",
    authorities=(
        cis("3.2.1", "Ensure that a minimal audit policy is created"),
        cis("3.2.2", "Ensure that the audit policy covers key security concerns"),
        nsa("Kubernetes native audit logging configuration"),
    ),
    remedy="Give the API server an --audit-policy-file that covers Secrets at the level Metadata, and an "
    "--audit-log-path.",
)
PROBES: Final = (FOUND,)


def recorded(events: Iterable[Event], name: str) -> int:
    """How many events are about reading the Secret of this name."""
    return sum(
        event.verb == "get"
        and event.object_ref is not None
        and (event.object_ref.resource, event.object_ref.name) == ("secrets", name)
        for event in events
    )


def judge(events: int, others: int) -> Finding:
    """What it shows how many events are about what was asked, and how many there are of other things."""
    missing = [] if events else [f"the request is in none of the log's {others} events"]
    return held(FOUND, events, "events about the request are in the log", missing)


def look(scene: Scene) -> Iterator[Finding]:
    """Ask, and wait for the log."""
    if scene.audit is None:
        yield unverifiable(FOUND, "there is no audit log that can be read from here", FOUND.remedy)
        return
    name = f"assay-posture-{secrets.token_hex(8)}"
    try:
        scene.core.read_namespaced_secret(name, scene.namespace)
    except client.ApiException as error:
        if error.status != _ABSENT:
            raise
    deadline = time.monotonic() + _WRITE_SECONDS
    while True:
        events = tuple(scene.audit())
        found = recorded(events, name)
        if found or time.monotonic() >= deadline:
            break
        time.sleep(0.5)
    yield judge(found, len(events))
