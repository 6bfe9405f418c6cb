"""All probes, one family after another; a probe that crashed is unknown, with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import urllib3
from kubernetes import client

from assay.errors import AssayError
from assay.platform import reason
from assay.posture import (
    access,
    admission,
    audit_event,
    containers,
    eviction,
    network,
    policies,
    principals,
    quota,
    secrecy,
)
from assay.posture.probe import unverifiable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.posture.probe import Family, Finding
    from assay.posture.scene import Scene

FAMILIES: Final[Mapping[str, Family]] = {
    "pods": admission,
    "access": access,
    "policies": policies,
    "network": network,
    "kafka": principals,
    "quota": quota,
    "eviction": eviction,
    "containers": containers,
    "secrets": secrecy,
    "audit": audit_event,
}


def survey(scene: Scene, tell: Callable[[str], None] = lambda _line: None) -> list[Finding]:
    """Every finding, in the order of the families' probes; `tell` is told which family is being tried."""
    findings: list[Finding] = []
    for name, family in FAMILIES.items():
        tell(f"trying {name}")
        findings += findings_of(family, scene)
    return findings


def findings_of(family: Family, scene: Scene) -> list[Finding]:
    """One finding for each of a family's probes, whatever becomes of it."""
    found: dict[str, Finding] = {}
    why = "the probe gave no finding"
    try:
        for finding in family.look(scene):
            found[finding.probe.name] = finding
    except AssayError as error:
        why = str(error)
    except (client.ApiException, urllib3.exceptions.HTTPError) as error:
        why = f"the API server did not answer as it should: {reason(error)}"
    except Exception as error:  # noqa: BLE001  # a probe that crashed has shown nothing, and the others go on
        why = f"the probe crashed with {type(error).__name__}: {error}"
    return [found.get(probe.name) or unverifiable(probe, why) for probe in family.PROBES]
