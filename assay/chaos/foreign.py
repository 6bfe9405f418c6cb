"""Harm that another extension does, such as chaosk8s deleting pods: seen and written down like a fault of ours.

Nothing is done here. The pods are looked at before, and it bites when one of these leaves or is gone; it is healed when
whoever owns them has as many ready pods as before. What began to leave at that moment may have been well for a little
longer: recovery is counted from there, and must not seem shorter than it was.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import urllib3
from kubernetes import client

from assay.chaos import readiness
from assay.errors import AssayError
from assay.platform import reason

if TYPE_CHECKING:
    from assay.chaos.injection import Injection
    from assay.platform import Platform

#: It must be seen to bite within so many seconds after it was begun, and may last so long.
BITE_SECONDS: Final = 60.0
LIMIT_SECONDS: Final = 600.0
HEAL_SECONDS: Final = 180.0


class Foreign:
    """What becomes of a platform's pods while somebody else does something to them; a `Fault`."""

    def __init__(self, platform: Platform, kind: str) -> None:
        """Look at the pods as they are.

        Args:
            platform: Whose pods.
            kind: What the other one calls it.

        Raises:
            AssayError: They can't be looked up.
        """
        self.kind = kind
        self.chosen = ""
        self.target = f"namespace/{platform.namespace}"
        self._platform = platform
        pods = self._pods()
        self._there = {str(one.metadata.uid): str(one.metadata.name) for one in pods if not _leaves(one)}
        self._before = readiness.of(pods)
        self._hit: dict[str, str] = {}

    def inject(self, name: str, seconds: float) -> None:
        """Nothing: the other one does it."""

    def bites(self) -> str | None:
        """A pod that was there leaves, or is gone."""
        staying = {str(one.metadata.uid) for one in self._pods() if not _leaves(one)}
        self._hit |= {uid: name for uid, name in self._there.items() if uid not in staying}
        return f"{', '.join(sorted(self._hit.values()))} left" if self._hit else None

    def heal(self, name: str) -> None:
        """Nothing: the pods' owners do it."""

    def healed(self) -> str | None:
        """What left is gone, and each owner has as many ready pods as before."""
        pods = self._pods()
        here = {str(one.metadata.uid) for one in pods}
        self._hit |= {uid: name for uid, name in self._there.items() if uid not in here}
        lacking = readiness.of(pods).lacking(self._before)
        return None if lacking or here & self._hit.keys() else "every owner has as many ready pods as before"

    def _pods(self) -> list[Any]:
        try:
            found: list[Any] = self._platform.core.list_namespaced_pod(self._platform.namespace).items
        except (client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise AssayError(f"The pods of {self._platform.namespace} can't be looked up: {reason(error)}.") from None
        return found


class Watching:
    """An injection that is watched beside whoever does the harm, in a thread of its own."""

    def __init__(self, injection: Injection) -> None:
        """Begin to watch."""
        self._injection = injection
        self._failed: AssayError | None = None
        self._thread = threading.Thread(target=self._watch, name="foreign-fault", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Wait until it was seen to bite.

        Raises:
            AssayError: It was not, in time.
        """
        self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _watch(self) -> None:
        try:
            self._injection.begin(LIMIT_SECONDS, BITE_SECONDS)
        except AssayError as error:
            self._failed = error


def _leaves(pod: Any) -> bool:
    return pod.metadata.deletion_timestamp is not None
