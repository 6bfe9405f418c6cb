"""The errors a user can cause or meet: each one clear sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from assay.verdict import EXIT_CRASH, EXIT_USAGE


class AssayError(Exception):
    """Something outside our control failed; the message is the sentence a user reads."""

    exit_code = EXIT_CRASH


class UsageError(AssayError):
    """The user asked for something that can't be done as asked; nothing was changed."""

    exit_code = EXIT_USAGE
