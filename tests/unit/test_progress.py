"""Progress: what is said where nobody watches live, and that a part within a phase keeps its times to itself."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from assay.progress import Phases


def test_a_phase_says_how_long_it_took() -> None:
    """One line when it ends."""
    console = Console(file=StringIO(), width=80)
    phases = Phases(console)
    with phases.phase("load"):
        phases.advance(1, 2, "messages")
    assert isinstance(console.file, StringIO)
    assert "✓ load" in console.file.getvalue()
    assert set(phases.seconds) == {"load"}


def test_a_part_is_told_as_what_its_phase_is_doing() -> None:
    """It prints no line of its own, and its times do not mix with those of the whole."""
    console = Console(file=StringIO(), width=80)
    phases = Phases(console)
    with phases.phase("load"):
        pass
    with phases.phase("run 1/2"):
        inner = phases.inside()
        with inner.phase("load"):
            inner.tell("sending")
            inner.advance(1, 2, "messages")
    assert isinstance(console.file, StringIO)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("✓")]
    assert [line.split()[1] for line in lines] == ["load", "run"]
    assert (set(phases.seconds), set(inner.seconds)) == ({"load", "run 1/2"}, {"load"})


def test_a_warning_stays() -> None:
    """It is a line of its own, also from within a phase and where nobody watches live."""
    console = Console(file=StringIO(), width=80)
    phases = Phases(console)
    with phases.phase("up"):
        phases.warn("made from other sources")
    assert isinstance(console.file, StringIO)
    assert "! made from other sources\n" in console.file.getvalue()
