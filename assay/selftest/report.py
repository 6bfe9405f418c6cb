"""What the self-test found, for people: a line an anomaly, what was missed, and the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from assay.checks.finding import at_most
from assay.selftest.mutations import MUTATIONS
from assay.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from assay.selftest.trial import Result

#: So many misses are told in full.
_TOLD: Final = 10


def tell(
    results: Sequence[Result], histories: int, alarms: Mapping[int, Mapping[str, str]], console: Console
) -> Verdict:
    """Print the results; `fail` if anything was missed or cried at, `unknown` if nothing was tried."""
    singles = [result for result in results if len(result.case.mutations) == 1]
    pairs = [result for result in results if len(result.case.mutations) > 1]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("anomaly", "must be said", "alone", "in pairs"):
        table.add_column(heading)
    for number, mutation in enumerate(MUTATIONS):
        must = ", ".join(f"{check} {verdict.value}" for check, verdict in mutation.complaints.items())
        mine = [[result for result in group if number in result.case.mutations] for group in (singles, pairs)]
        table.add_row(mutation.name, must, *(_score(group) for group in mine))
    console.print(table)
    missed = [result for result in results if not result.caught]
    for result in missed[:_TOLD]:
        console.print(f"missed: {result.name}: expected {result.expected}, said {result.said}", highlight=False)
    for seed, said in list(alarms.items())[:_TOLD]:
        console.print(f"false alarm: the clean history of seed {seed}: {dict(said)}", highlight=False)
    if not results:
        console.print("Nothing was tried.")
        return Verdict.UNKNOWN
    caught = len(results) - len(missed)
    kinds = len({number for result in results for number in result.case.mutations})
    console.print(
        f"Mutation score {100 * caught / len(results):.4g} %: {caught:,} of {len(results):,} seeded anomalies were "
        f"called what they are, and nothing else ({kinds} kinds, {len(singles):,} alone, {len(pairs):,} in pairs). "
        f"{len(alarms):,} false alarms in {histories:,} clean histories"
        + (f"; {at_most(histories, 'histories')} raise one." if not alarms else "."),
        highlight=False,
        soft_wrap=True,
    )
    return Verdict.FAIL if missed or alarms else Verdict.PASS


def _score(group: Sequence[Result]) -> str:
    return f"{sum(result.caught for result in group)} of {len(group)}" if group else "—"
