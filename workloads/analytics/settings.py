"""The consumer's settings, from the environment (table in workloads/README.md), and what they make of librdkafka's."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotation at run time
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from workloads.identity import KafkaIdentity
from workloads.timeouts import KafkaTimeouts

ClientSettings: TypeAlias = dict[str, str | int | float | bool]

#: Of libpq: seconds to connect, milliseconds until sent data must be acknowledged, seconds between signs of life.
_LIMITS: Final = {
    "connect_timeout": "5",
    "tcp_user_timeout": "10000",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}


class AnalyticsSettings(BaseSettings):
    """Everything that can be set; variables start with `ANALYTICS_`."""

    model_config = SettingsConfigDict(env_prefix="ANALYTICS_", frozen=True)

    bootstrap_servers: str = Field(min_length=1)
    topic: str = "commodity-prices"
    dlq_topic: str = "commodity-prices-dlq"
    group: str = "commodity-analytics"
    group_protocol: Literal["classic", "consumer"] = "classic"
    group_instance_id: str | None = None
    session_timeout_ms: int = Field(default=6000, ge=1000)
    heartbeat_interval_ms: int = Field(default=1000, ge=100)
    catalog_uri: str = Field(min_length=1)
    catalog_password_file: Path | None = None
    catalog_name: str = "sink"
    warehouse: str = Field(min_length=1)
    batch_size: int = Field(default=100, ge=1, le=100)
    flush_seconds: float = Field(default=1.0, gt=0.0, le=60.0)
    flush_rows: int = Field(default=20_000, ge=1)
    window_seconds: float = Field(default=5.0, gt=0.0)
    lateness_seconds: float = Field(default=1.0, ge=0.0)
    max_value_bytes: int = Field(default=65_536, ge=1)
    start_seconds: float = Field(default=60.0, gt=0.0)
    sink_retry_seconds: float = Field(default=30.0, gt=0.0)
    host: str = "0.0.0.0"  # noqa: S104  # a pod's only interface to its cluster
    port: int = Field(default=8081, ge=0, le=65535)
    progress_seconds: float = Field(default=30.0, gt=0.0)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    max_poll_interval_ms: int = Field(default=45_000, ge=6000)
    timeouts: KafkaTimeouts = Field(default_factory=KafkaTimeouts)
    identity: KafkaIdentity = Field(default_factory=KafkaIdentity)

    @model_validator(mode="after")
    def _consistent(self) -> AnalyticsSettings:
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            raise ValueError("the heartbeat interval must be at most a third of the session timeout")
        if "{password}" in self.catalog_uri and self.catalog_password_file is None:
            raise ValueError("the catalog's address has {password}, so ANALYTICS_CATALOG_PASSWORD_FILE must be set")
        try:
            make_url(self.catalog_uri).get_dialect()
        except SQLAlchemyError as error:
            raise ValueError(f"the catalog's address is no SQLAlchemy address ({error})") from None
        return self

    def catalog_address(self) -> str:
        """The catalog's address with its password, read from the file now, and PostgreSQL's time limits.

        Without limits a connection to a host that drops packets would hold the loop for many minutes.

        Raises:
            OSError: The password file can't be read.
        """
        password = ""
        if self.catalog_password_file is not None:
            password = self.catalog_password_file.read_text(encoding="utf-8").strip()
        url = make_url(self.catalog_uri.replace("{password}", quote(password, safe="")))
        if url.get_backend_name() == "postgresql":
            url = url.update_query_dict({name: text for name, text in _LIMITS.items() if name not in url.query})
        return url.render_as_string(hide_password=False)

    def client(self) -> ClientSettings:
        """What every Kafka client of this program is told; each line differs from librdkafka's default for a reason."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            **self.timeouts.client(),
            **self.identity.client(),
        }

    def consumer(self) -> ClientSettings:
        """The consumer's settings."""
        found = self.client() | {
            "group.id": self.group,
            "group.protocol": self.group_protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,  # offsets are committed by hand, after the sink has the rows
            "enable.auto.offset.store": False,
            "check.crcs": True,  # a record damaged on its way must not be stored as good
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 16_384,  # per partition: a burst must not fill the pod's memory
            "max.poll.interval.ms": self.max_poll_interval_ms,
        }
        if self.group_protocol == "classic":
            found |= {
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": self.session_timeout_ms,
                "heartbeat.interval.ms": self.heartbeat_interval_ms,
            }
        if self.group_instance_id:
            found["group.instance.id"] = self.group_instance_id
        return found

    def producer(self) -> ClientSettings:
        """The dead letters' producer's settings."""
        return self.client() | {
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "delivery.timeout.ms": 30_000,
            "message.max.bytes": 8_000_000,  # what the broker let in must not fail here for its added headers
        }
