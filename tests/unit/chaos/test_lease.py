"""The lease of a cluster's experiments, against a literal API that keeps one object as Kubernetes does."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from kubernetes import client

from assay.chaos.lease import HELD_SECONDS, NAME, Lease
from assay.errors import AssayError, UsageError

NAMESPACE = "assay-chaos"


class Api:
    """One lease, with resource versions: a write that is not about the present one is refused."""

    def __init__(self) -> None:
        """There is none."""
        self.kept: Any = None
        self._version = 0

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        """A copy of it."""
        assert (name, namespace) == (NAME, NAMESPACE)
        if self.kept is None:
            raise client.ApiException(status=404, reason="Not Found")
        return copy.deepcopy(self.kept)

    def create_namespaced_lease(self, namespace: str, body: Any) -> None:
        """Make it, unless it is there."""
        assert namespace == NAMESPACE
        if self.kept is not None:
            raise client.ApiException(status=409, reason="Conflict")
        self._keep(body)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> None:
        """Replace the one that was read."""
        assert (name, namespace) == (NAME, NAMESPACE)
        if self.kept is None or self.kept.metadata.resource_version != body.metadata.resource_version:
            raise client.ApiException(status=409, reason="Conflict")
        self._keep(body)

    def delete_namespaced_lease(self, name: str, namespace: str, body: Any) -> None:
        """Delete the one that was read."""
        assert (name, namespace) == (NAME, NAMESPACE)
        if self.kept.metadata.resource_version != body.preconditions.resource_version:
            raise client.ApiException(status=409, reason="Conflict")
        self.kept = None

    def age(self, seconds: float) -> None:
        """Let time pass for it."""
        self.kept.spec.renew_time -= timedelta(seconds=seconds)

    def _keep(self, body: Any) -> None:
        self._version += 1
        self.kept = copy.deepcopy(body)
        self.kept.metadata.resource_version = str(self._version)


def lease(api: Api) -> Lease:
    """One that does not watch for long."""
    return Lease(api, NAMESPACE, watch_seconds=0)


def test_a_second_experiment_is_refused_until_the_first_has_ended() -> None:
    """In one sentence that says who is there, and the first is left as it is."""
    api = Api()
    with lease(api) as first:
        kept = copy.deepcopy(api.kept)
        for attempt in (Lease(api, NAMESPACE).acquire, Lease(api, NAMESPACE).refuse_if_held):
            with pytest.raises(UsageError, match=rf"^Another experiment runs on this cluster \({first.holder}, since"):
                attempt()
        assert api.kept == kept
    assert api.kept is None
    with lease(api):
        pass


def test_looking_makes_nothing() -> None:
    """Where there is none, there is none afterwards."""
    api = Api()
    Lease(api, NAMESPACE).refuse_if_held()
    assert api.kept is None


def test_one_whose_holder_died_is_taken_over_when_it_has_run_out() -> None:
    """Not before."""
    api = Api()
    lease(api).acquire().release()
    dead = lease(api)
    dead.acquire()
    dead._stop.set()  # noqa: SLF001  # as if its process were killed
    api.age(HELD_SECONDS - 5)
    with pytest.raises(UsageError, match="Another experiment runs"):
        lease(api).acquire()
    api.age(10)
    with lease(api) as mine:
        assert api.kept.spec.holder_identity == mine.holder


def test_one_that_only_looks_old_is_left_alone() -> None:
    """Its holder's clock is behind, and it is renewed while it is watched."""
    api = Api()
    with lease(api) as behind:
        api.age(3600)
        seen: list[Any] = []
        read = api.read_namespaced_lease

        def renewed(name: str, namespace: str) -> Any:
            if seen:
                api.kept.spec.renew_time += timedelta(seconds=5)
            seen.append(name)
            return read(name, namespace)

        api.read_namespaced_lease = renewed  # type: ignore[method-assign]  # the holder renews between two looks
        with pytest.raises(UsageError, match=rf"Another experiment runs on this cluster \({behind.holder}\)"):
            lease(api).acquire()
        api.read_namespaced_lease = read  # type: ignore[method-assign]  # as before


def test_it_outlasts_a_fault_whose_maker_dies() -> None:
    """A fault ends by itself after its time, and nobody else begins before."""
    api = Api()
    with lease(api) as mine:
        mine.cover(150)
        assert api.kept.spec.lease_duration_seconds == 150
        assert api.kept.spec.renew_time > datetime.now(UTC) - timedelta(seconds=10)
        mine.cover(1)
        assert api.kept.spec.lease_duration_seconds == HELD_SECONDS


def test_one_that_was_taken_away_is_noticed_and_not_given_up() -> None:
    """Whoever has it now keeps it."""
    api = Api()
    with lease(api) as mine:
        api.kept.spec.holder_identity = "somebody"
        with pytest.raises(AssayError, match=r"is lost: somebody took it\.$"):
            mine.cover(60)
    assert api.kept.spec.holder_identity == "somebody"


def test_two_at_the_same_moment_are_one() -> None:
    """Both saw that there is none; the API lets one of them make it."""
    api = Api()
    other = lease(api)
    read = api.read_namespaced_lease

    def late(*_: str) -> Any:
        api.read_namespaced_lease = read  # type: ignore[method-assign]  # once
        other.acquire()
        raise client.ApiException(status=404, reason="Not Found")

    api.read_namespaced_lease = late  # type: ignore[method-assign]  # the other one is faster
    with pytest.raises(UsageError, match="began on this cluster at this moment"):
        lease(api).acquire()
    other.release()
