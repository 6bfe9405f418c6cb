"""Which kind of cluster to use. Pure: facts in, a kind out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from assay.clusters.cluster import Kind
from assay.errors import UsageError

AUTO = "auto"
KINDS: tuple[str, ...] = (*get_args(Kind), AUTO)
"""What `--cluster` accepts."""


@dataclass(frozen=True)
class Facts:
    """What the choice depends on.

    Attributes:
        context: the context that was given explicitly, if any.
        docker: whether a Docker engine answers.
        kind_tool: whether `kind` is on the PATH.
    """

    context: str | None
    docker: bool
    kind_tool: bool


def choose(asked: str, facts: Facts) -> Kind:
    """The kind of cluster to use.

    An explicit context means an existing cluster; else, where Docker and kind are at hand, kind; else the embedded one.

    Args:
        asked: what `--cluster` says, one of KINDS.
        facts: what was found.

    Raises:
        UsageError: there is no such kind, or it contradicts an explicit context.
    """
    if asked not in KINDS:
        raise UsageError(f"--cluster {asked!r} is unknown; it is one of {', '.join(KINDS)}")
    if facts.context is not None and asked not in {"existing", AUTO}:
        raise UsageError(
            f"--context {facts.context!r} names an existing cluster, --cluster {asked} makes a new one: give one"
        )
    for kind in get_args(Kind):
        if kind == asked:
            chosen: Kind = kind
            return chosen
    if facts.context is not None:
        return "existing"
    return "kind" if facts.docker and facts.kind_tool else "embedded"
