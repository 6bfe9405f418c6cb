"""The errors a user can cause or meet: each one clear sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from assay.verdict import EXIT_USAGE, Verdict


class AssayError(Exception):
    """What was asked could not be done, so nothing was shown: the exit code is `unknown`'s.

    The message is the sentence that a user reads: what is wrong, where, what to do.
    """

    exit_code = Verdict.UNKNOWN.exit_code


class UsageError(AssayError):
    """The user asked for something that can't be done as asked; nothing was changed."""

    exit_code = EXIT_USAGE
