"""Whether names are resolved in a pod, by its own resolver: the witness of a fault of cluster DNS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from assay import pods
from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.platform import Platform

#: Every cluster has this name; it is completed by the pod's search list.
NAME: Final = "kubernetes.default.svc"
_ONE_TRY: Final = "RES_OPTIONS=timeout:1 attempts:1"
_RESOLVE: Final = f"""
import socket
try:
    print(socket.getaddrinfo({NAME!r}, 443, type=socket.SOCK_STREAM)[0][4][0])
except socket.gaierror as error:
    print("!", error.strerror)
"""


@dataclass(frozen=True)
class Names:
    """A pod, with Python in its first container, in which a name is resolved as its workload would do it."""

    platform: Platform
    pod: str

    def prepare(self) -> None:
        """The name is resolved now."""
        said = self._resolve()
        if said.startswith("!"):
            raise AssayError(
                f"The pod {self.pod} resolves no names already ({said[2:]}): no fault could be shown by it."
            )

    def bites(self) -> str | None:
        """It is not."""
        said = self._resolve()
        return f"{self.pod} does not resolve {NAME} ({said[2:]})" if said.startswith("!") else None

    def healed(self) -> str | None:
        """It is again."""
        said = self._resolve()
        return None if said.startswith("!") else f"{self.pod} resolves {NAME}"

    def _resolve(self) -> str:
        done = pods.execute(self.platform, self.pod, ["env", _ONE_TRY, "python3", "-c", _RESOLVE])
        said = done.stdout.strip()
        if done.exit_code or not said:
            raise AssayError(f"Names can't be looked up in {self.pod}: {(done.stderr.strip() or 'no answer')[-200:]}.")
        return said
