"""The feed's settings, from the environment (table in workloads/README.md)."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # pydantic reads the annotation at run time

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from workloads.feed.faults import Faults


class FeedSettings(BaseSettings):
    """Everything that can be set; variables start with `FEED_`."""

    model_config = SettingsConfigDict(env_prefix="FEED_", frozen=True)

    token_file: Path
    admin_token_file: Path | None = None
    host: str = "0.0.0.0"  # noqa: S104  # a pod's only interface to its cluster
    port: int = Field(default=8080, ge=0, le=65535)
    seed: int = 7
    rate_per_second: float = Field(default=100.0, gt=0.0)
    rate_burst: int = Field(default=200, ge=1)
    faults: Faults = Faults()
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
