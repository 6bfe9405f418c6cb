"""Which kind of cluster is used."""

from __future__ import annotations

import pytest

from assay.clusters.choose import Facts, choose
from assay.errors import UsageError

NOTHING = Facts(context=None, docker=False, kind_tool=False)


@pytest.mark.parametrize(
    ("facts", "chosen"),
    [
        (NOTHING, "embedded"),
        (Facts(None, docker=True, kind_tool=False), "embedded"),
        (Facts(None, docker=False, kind_tool=True), "embedded"),
        (Facts(None, docker=True, kind_tool=True), "kind"),
        (Facts("prod", docker=True, kind_tool=True), "existing"),
        (Facts("prod", docker=False, kind_tool=False), "existing"),
    ],
)
def test_by_default_a_context_then_dockers_kind_then_the_embedded_one(facts: Facts, chosen: str) -> None:
    """An explicit context wins; kind needs both the tool and an engine that answers; embedded needs neither."""
    assert choose("auto", facts) == chosen


@pytest.mark.parametrize("kind", ["embedded", "existing", "kind", "k3d", "minikube"])
def test_what_is_asked_for_is_taken(kind: str) -> None:
    """Whether it can be had is the cluster's own answer."""
    assert choose(kind, NOTHING) == kind


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    """One sentence with what was given and what is possible."""
    with pytest.raises(UsageError, match="unknown; it is one of embedded, existing, kind, k3d, minikube, auto"):
        choose("nomad", NOTHING)


def test_a_context_contradicts_a_kind_that_makes_clusters() -> None:
    """Neither is silently ignored."""
    with pytest.raises(UsageError, match="'prod' names an existing cluster, --cluster embedded makes a new one"):
        choose("embedded", Facts("prod", docker=False, kind_tool=False))
