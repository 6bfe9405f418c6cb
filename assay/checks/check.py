"""A check: a rule, how it is counted over pieces of a run, and what is concluded from the sum."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from assay.checks.history import History
    from assay.checks.shards import LogShard, SendsShard
    from assay.checks.tally import Tally
    from assay.verdict import Finding


class Check:
    """One question asked of a run. Its docstring is the rule, in the first line, and where the rule is from.

    Attributes:
        name: The check's name, in the words of the field.
        needs: What it can't do without: `sends`, `log`, `sink`, `partitions`. Where one is missing it is `unknown`.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def applies(self, history: History) -> bool:  # noqa: ARG002  # for those that ask of what not every run has
        """Whether the question makes sense for this run; where it does not, there is no finding."""
        return True

    def of_sends(self, shard: SendsShard) -> Tally | None:  # noqa: ARG002  # for those that count sends
        """What a piece of the sends adds to the tally; None: sends are not counted."""
        return None

    def of_log(self, shard: LogShard) -> Tally | None:  # noqa: ARG002  # for those that count places
        """What a piece of log and sink adds to the tally; None: places are not counted."""
        return None

    def conclude(self, tally: Tally, history: History) -> Finding:
        """The finding that follows from the sum over all pieces.

        Raises:
            UndecidedError: The evidence does not allow one.
        """
        raise NotImplementedError

    @property
    def rule(self) -> str:
        """The rule in one line."""
        return (inspect.getdoc(self) or "").split("\n\n")[0].replace("\n", " ")

    @property
    def counts_sends(self) -> bool:
        """Whether it counts sends."""
        return type(self).of_sends is not Check.of_sends

    @property
    def counts_log(self) -> bool:
        """Whether it counts places."""
        return type(self).of_log is not Check.of_log
