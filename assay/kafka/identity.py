"""Who we are to Kafka: the files of a certificate and its key, and of the authorities whose brokers we trust.

Named in the environment, since that is what reaches every process of a load or an experiment, and the same for all of
them. Without them clients speak in plain text. `assay.credentials` names them for a platform that wants certificates.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from assay.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The variables: PEM files.
AUTHORITIES: Final = "ASSAY_KAFKA_CA"
CERTIFICATE: Final = "ASSAY_KAFKA_CERT"
KEY: Final = "ASSAY_KAFKA_KEY"
#: Who sends a load to the platform's own topic, if that is not to be whoever asks and reads: one that may do just that.
PRODUCER_CERTIFICATE: Final = "ASSAY_KAFKA_PRODUCER_CERT"
PRODUCER_KEY: Final = "ASSAY_KAFKA_PRODUCER_KEY"


@dataclass(frozen=True)
class Identity:
    """PEM files: the authorities that we trust, our certificate, and its key."""

    authorities: Path
    certificate: Path
    key: Path

    def client(self) -> dict[str, str]:
        """What librdkafka is told: TLS both ways, and the broker's name or address must be in its certificate."""
        return {
            "security.protocol": "ssl",
            "ssl.endpoint.identification.algorithm": "https",
            "ssl.ca.location": str(self.authorities),
            "ssl.certificate.location": str(self.certificate),
            "ssl.key.location": str(self.key),
        }

    def context(self) -> ssl.SSLContext:
        """The same for a connection of our own.

        Raises:
            OSError: A file can't be used.
        """
        context = ssl.create_default_context(cafile=str(self.authorities))
        context.load_cert_chain(self.certificate, self.key)
        return context


def read(environment: Mapping[str, str] = os.environ) -> Identity | None:
    """Who the environment says we are; None: it does not.

    Raises:
        UsageError: Only some of the three files are named, or one is not there.
    """
    named = {name: environment.get(name, "") for name in (AUTHORITIES, CERTIFICATE, KEY)}
    if not any(named.values()):
        return None
    for name, text in named.items():
        if not text:
            raise UsageError(f"{name} is not set, but others of {', '.join(named)} are: they go together.")
        if not Path(text).is_file():
            raise UsageError(f"{name} names {text}, which is no file: `assay deploy` writes those of a platform.")
    return Identity(*map(Path, named.values()))


def named(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment says who we are."""
    return bool(environment.get(CERTIFICATE))


def settings() -> dict[str, str]:
    """What librdkafka is told of who we are; nothing where we are nobody.

    Raises:
        UsageError: As of `read`.
    """
    found = read()
    return {} if found is None else found.client()


def producer(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a load that sends as the producer, where one is named; else as it is (pure)."""
    if not environment.get(PRODUCER_CERTIFICATE) or not environment.get(PRODUCER_KEY):
        return dict(environment)
    return {**environment, CERTIFICATE: environment[PRODUCER_CERTIFICATE], KEY: environment[PRODUCER_KEY]}
