"""Settings from the environment, read once at the start of a program, and one clear sentence where they are wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableError

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

#: The exit code of a program that was started with settings it can't use.
USAGE: Final = 254
#: The exit code of a program whose service (feed, Kafka, catalog) can't be reached: `EX_UNAVAILABLE` of sysexits.h.
UNAVAILABLE: Final = 69

Settings = TypeVar("Settings", bound="BaseSettings")


class SettingsError(ValueError):
    """The environment holds a setting that can't be used; the message names it and says what is expected."""


def load(kind: type[Settings]) -> Settings:
    """Read settings of this kind from the environment.

    Raises:
        SettingsError: One or more are missing or wrong; the sentence names each variable.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", "")).upper()
        parts = [
            f"{prefix}{'_'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError(f"The configuration is unusable, correct the environment: {'; '.join(parts)}.") from None
    except UnreadableError as error:
        raise SettingsError(f"The configuration is unusable, correct the environment: {error}.") from None


def refuse(sentence: str, code: int) -> NoReturn:
    """End the program with one sentence on standard error and this exit code."""
    sys.stderr.write(sentence.rstrip() + "\n")
    sys.exit(code)
