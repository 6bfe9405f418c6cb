"""How soon a Kafka client of ours notices what is gone: librdkafka's timeouts, settable from outside.

librdkafka's own defaults wait a minute for a broker whose packets are dropped, which makes every recovery objective
below that impossible.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaTimeouts(BaseSettings):
    """Variables start with `KAFKA_CLIENT_`; milliseconds, librdkafka's names and bounds."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_CLIENT_", frozen=True)

    socket_timeout_ms: int = Field(default=3000, ge=10, le=300_000)
    socket_connection_setup_timeout_ms: int = Field(default=3000, ge=1000, le=2_147_483_647)
    reconnect_backoff_max_ms: int = Field(default=1000, ge=0, le=3_600_000)
    retry_backoff_ms: int = Field(default=100, ge=1, le=300_000)
    retry_backoff_max_ms: int = Field(default=500, ge=1, le=300_000)
    topic_metadata_refresh_interval_ms: int = Field(default=30_000, ge=-1, le=3_600_000)

    def client(self) -> dict[str, int]:
        """The same under librdkafka's names."""
        return {name.replace("_", "."): value for name, value in self.model_dump().items()}
