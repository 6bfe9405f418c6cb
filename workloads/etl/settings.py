"""The ETL's settings, from the environment (table in workloads/README.md)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotation at run time

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from workloads.identity import KafkaIdentity
from workloads.timeouts import KafkaTimeouts


class EtlSettings(BaseSettings):
    """Everything that can be set; variables start with `ETL_`, but for `RUN_ID`."""

    model_config = SettingsConfigDict(env_prefix="ETL_", frozen=True)

    feed_url: HttpUrl
    token_file: Path
    bootstrap_servers: str = Field(min_length=1)
    topic: str = "commodity-prices"
    rejects_topic: str = "commodity-price-rejects"
    run_id: str = Field(default="local", min_length=1, pattern=r"^[\x21-\x7e]+$", validation_alias="RUN_ID")
    page_size: int = Field(default=1000, ge=1, le=5000)
    start_seconds: float = Field(default=30.0, gt=0.0)
    retry_seconds: float = Field(default=120.0, gt=0.0)
    delivery_seconds: float = Field(default=120.0, ge=1.0)
    metrics_file: Path | None = None
    timeouts: KafkaTimeouts = Field(default_factory=KafkaTimeouts)
    identity: KafkaIdentity = Field(default_factory=KafkaIdentity)
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")

    def client(self) -> dict[str, str | int]:
        """How soon a client of Kafka notices what is gone, and who it is, as librdkafka has it."""
        return {**self.timeouts.client(), **self.identity.client()}
