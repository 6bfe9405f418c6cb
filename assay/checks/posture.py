"""What the probes of posture come to in a verdict: one finding a family, from what the evidence says of each probe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from assay.checks.finding import counted, finding
from assay.posture.probe import FAMILIES, Result, listed
from assay.verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.manifest import Manifest
    from assay.posture.probe import Finding as Tried

#: The part of a plan.
PART: Final = "posture"
#: What is looked at last, when all evidence is there; see `assay.leaks`.
SEARCH: Final = "secrets/evidence"
#: What only whoever runs the control plane can see: etcd's files and the API server's audit log.
CONTROL_PLANE: Final = frozenset({"secrets/at-rest", "audit/found"})
#: Clusters whose control plane is looked at from outside only.
OUTSIDE: Final = frozenset({"existing", "kind", "k3d", "minikube"})


def posture(manifest: Manifest, tried: Sequence[Tried] | None) -> tuple[Finding, ...]:
    """Whatever must be refused was tried and refused, and what is there is as it must be (docs/posture.md).

    A probe that could not be shown is unknown, as any check is. What this kind of cluster can't show at all is no part
    of what is asked of it, like a check that does not apply: it is not counted, and `beyond` says it.

    Args:
        manifest: The run's.
        tried: What became of the probes; None: nothing was recorded of them, or it is not what was recorded.
    """
    if PART not in manifest.plan.parts:
        return ()
    if tried is None:
        why = f", since the run stopped early ({manifest.stopped.rstrip('.')})" if manifest.stopped else ""
        return (finding(PART, Verdict.UNKNOWN, f"There is no evidence of the posture{why}."),)
    uncounted = set(beyond(manifest, tried))
    found = []
    for family in dict.fromkeys((*FAMILIES, *(one.probe.family for one in tried))):
        of_it = [one for one in tried if one.probe.family == family]
        asked = [one for one in of_it if one.probe.name not in uncounted]
        if asked or not of_it:
            found.append(_family(family, asked))
    if SEARCH not in {one.probe.name for one in tried}:
        text = "The evidence was not searched for the platform's secrets."
        found.append(finding(f"{PART}: evidence", Verdict.UNKNOWN, text))
    return tuple(found)


def beyond(manifest: Manifest, tried: Sequence[Tried]) -> tuple[str, ...]:
    """The probes that could not be shown because this kind of cluster can't show them, by name."""
    if manifest.cluster.get("kind") not in OUTSIDE:
        return ()
    names = (one.probe.name for one in tried if one.result is Result.UNVERIFIABLE)
    return tuple(name for name in names if name in CONTROL_PLANE)


def limits(manifest: Manifest, tried: Sequence[Tried] | None) -> tuple[str, ...]:
    """What a verdict does not speak of, in sentences."""
    said = []
    if manifest.plan.left_out:
        said.append(f"Left out on request: {', '.join(manifest.plan.left_out)}.")
    if names := beyond(manifest, tried or ()):
        said.append(f"Not shown, since its control plane can't be seen from outside: {', '.join(names)}.")
    return tuple(said)


def _family(name: str, tried: Sequence[Tried]) -> Finding:
    check = f"{PART}: {name}"
    failed = [one for one in tried if one.verdict is Verdict.FAIL]
    unshown = [one for one in tried if one.verdict is Verdict.UNKNOWN]
    measured = {"probes": len(tried), "failed": len(failed), "unshown": len(unshown)}
    if not tried:
        return finding(check, Verdict.UNKNOWN, "None of these probes was tried.", measured)
    text = f"{counted(len(tried), 'probe')}: what must be refused was, and what is there is as it must be."
    if failed or unshown:
        said = (
            f"{part} of {counted(len(tried), 'probe')} {what}: {_told(some)}"
            for part, what, some in ((len(failed), "failed", failed), (len(unshown), "could not be shown", unshown))
            if some
        )
        text = f"{'; '.join(said)}."
    late = {
        "probe": [one.probe.name for one in (*failed, *unshown)],
        "result": [str(one.result) for one in (*failed, *unshown)],
        "happened": [one.happened for one in (*failed, *unshown)],
        "remedy": [one.remedy for one in (*failed, *unshown)],
    }
    return finding(check, worst(one.verdict for one in tried), text, measured, late=late)


def _told(some: Sequence[Tried]) -> str:
    return listed([f"{one.probe.name}: {one.happened.rstrip('.')}" for one in some])
