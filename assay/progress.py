"""Progress for people: which phase runs, what it is doing, how far it is and how long is left; and how long each took.

On a terminal a live bar; elsewhere (CI logs) one line when a phase ends, and one now and then while it lasts.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

#: Where nobody watches live, say at most this often (seconds) what a phase is doing.
_QUIET_SECONDS: Final = 10.0


class Phases:
    """Shows the phases of one command and keeps their times.

    Attributes:
        seconds: How long each ended phase took, by name, in the order in which they ended.
    """

    def __init__(self, console: Console, outer: Phases | None = None) -> None:
        """Nothing is shown before the first phase; with `outer`, all is told as what its current phase is doing."""
        self.seconds: dict[str, float] = {}
        self._console = console
        self._outer = outer
        self._current: _Phase | None = None

    def inside(self) -> Phases:
        """The phases of a part, which takes place within the current phase and keeps its own times."""
        return Phases(self._console, self)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Show a phase while the block runs; its time is kept also when it fails."""
        started = time.monotonic()
        self._current = self._begun(name)
        failed = True
        try:
            yield
            failed = False
        finally:
            self._current.close()
            self._current = None
            self.seconds[name] = time.monotonic() - started
            mark, style = ("✗", "red") if failed else ("✓", "green")
            if self._outer is None:
                self._console.print(
                    Text.assemble((mark, style), f" {name:<12} {self.seconds[name]:7.1f} s"), highlight=False
                )

    def _begun(self, name: str) -> _Phase:
        if self._outer is not None:
            return _Inside(self._outer, name)
        return _Live(self._console, name) if self._console.is_terminal else _Plain(self._console, name)

    def tell(self, text: str) -> None:
        """Say what the current phase is doing."""
        if self._current is not None:
            self._current.show(text, None, None)

    def warn(self, text: str) -> None:
        """Say what the reader must know besides the phases; it stays on the screen."""
        self._console.print(Text.assemble(("!", "yellow"), f" {text}"), highlight=False, soft_wrap=True)

    def advance(self, done: float, total: float, text: str = "") -> None:
        """Say how far the current phase is, in any unit."""
        if self._current is not None:
            self._current.show(text, done, total)


class _Phase:
    """How one phase is shown."""

    def show(self, text: str, done: float | None, total: float | None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _Inside(_Phase):
    def __init__(self, outer: Phases, name: str) -> None:
        self._outer, self._name = outer, name
        outer.tell(name)

    def show(self, text: str, done: float | None, total: float | None) -> None:
        told = f"{self._name}: {text}"
        if done is None or total is None:
            self._outer.tell(told)
        else:
            self._outer.advance(done, total, told)

    def close(self) -> None:
        """What comes next says so itself."""


class _Live(_Phase):
    def __init__(self, console: Console, name: str) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[phase]:<12}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, phase=name)
        self._bar.start()

    def show(self, text: str, done: float | None, total: float | None) -> None:
        self._bar.update(self._task, description=text or None, completed=done, total=total)

    def close(self) -> None:
        self._bar.stop()


class _Plain(_Phase):
    def __init__(self, console: Console, name: str) -> None:
        self._console, self._name, self._said = console, name, time.monotonic()

    def show(self, text: str, done: float | None, total: float | None) -> None:
        now = time.monotonic()
        if now - self._said < _QUIET_SECONDS:
            return
        self._said = now
        how_far = f"{done:,.0f} of {total:,.0f} " if done is not None and total is not None else ""
        self._console.print(f"  {self._name:<12} {how_far}{text}", highlight=False, markup=False)

    def close(self) -> None:
        """There is nothing to take off the screen."""
