"""Who a Kafka client of ours is: the files of its certificate and key, and of the authorities it trusts.

Without them a client speaks in plain text, which brokers that want certificates refuse.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotation at run time

from pydantic import model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaIdentity(BaseSettings):
    """Variables start with `KAFKA_CLIENT_`; PEM files, librdkafka's names. All of them, or none."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_CLIENT_", frozen=True)

    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None

    @model_validator(mode="after")
    def _whole(self) -> KafkaIdentity:
        files = (self.ssl_ca_location, self.ssl_certificate_location, self.ssl_key_location)
        if any(files) and not all(files):
            raise ValueError("a certificate, its key and the authorities' file go together: set all three, or none")
        for file in filter(None, files):
            if not file.is_file():
                raise ValueError(f"there is no file {file}: mount Kafka's certificates there")
        return self

    def client(self) -> dict[str, str]:
        """What librdkafka is told: TLS both ways, the broker's name checked; nothing without a certificate."""
        if self.ssl_ca_location is None:
            return {}
        files = {name.replace("_", "."): str(value) for name, value in self.model_dump().items()}
        return {"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "https", **files}
