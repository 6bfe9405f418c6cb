"""What a user may set over the safe producer's settings, and what is refused in one sentence."""

from __future__ import annotations

import pytest

from assay.errors import UsageError
from assay.kafka import overrides


def test_an_unsafe_producer_can_be_asked_for() -> None:
    """Each setting under its first name; the last of two counts."""
    asked = ["request.required.acks=1", "enable.idempotence=False", "acks=0"]
    assert overrides.parse(asked) == {"acks": "0", "enable.idempotence": "False"}
    assert overrides.parse([]) == {}


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["acks"], "--producer-setting 'acks' is not NAME=VALUE: write for instance --producer-setting acks=1."),
        (["=0"], "--producer-setting '=0' is not NAME=VALUE: write for instance --producer-setting acks=1."),
        (
            ["no.such=1"],
            '--producer-setting no.such=1 can\'t be used: No such configuration property: "no.such".',
        ),
        (
            ["acks=some", "enable.idempotence=false"],
            (
                "--producer-setting acks=some, enable.idempotence=false can't be used: "
                'Invalid value for configuration property "request.required.acks".'
            ),
        ),
        (
            ["acks=0"],
            (
                "--producer-setting acks=0 can't be used: Failed to create producer: "
                "`acks` must be set to `all` when `enable.idempotence` is true."
            ),
        ),
        (
            ["bootstrap.servers=elsewhere:9092"],
            "--producer-setting bootstrap.servers can't be given: the judge reads the platform's own brokers.",
        ),
        (
            ["sasl.password=hunter2"],
            "--producer-setting sasl.password can't be given: it would stand in the run's evidence.",
        ),
        (["logger=x"], "--producer-setting logger=x can't be used: a logger is no text."),
        (
            ["message.timeout.ms=0x9999"],
            "--producer-setting message.timeout.ms=0x9999 can't be used: give a whole number of milliseconds.",
        ),
    ],
)
def test_what_cannot_be_set_is_one_sentence(pairs: list[str], sentence: str) -> None:
    """It names the setting and says why; exit code 254."""
    with pytest.raises(UsageError) as caught:
        overrides.parse(pairs)
    assert str(caught.value) == sentence
    assert caught.value.exit_code == 254


@pytest.mark.parametrize("name", ["error_cb", "stats_cb", "throttle_cb", "on_delivery"])
def test_functions_cannot_be_given_as_text(name: str) -> None:
    """The binding takes some settings that are no text."""
    with pytest.raises(UsageError, match=f"^--producer-setting {name}=x can't be used: .*calla?ble"):
        overrides.parse([f"{name}=x"])


def test_effective_settings_are_the_safe_ones_and_what_was_set_over_them() -> None:
    """As text, each of them in one spelling."""
    safe = overrides.effective({})
    assert (safe["acks"], safe["enable.idempotence"], safe["socket.timeout.ms"]) == ("all", "true", "3000")
    assert "logger" not in safe
    unsafe = overrides.effective({"acks": "-1", "enable.idempotence": "FALSE"})
    assert (unsafe["acks"], unsafe["enable.idempotence"]) == ("all", "false")


def test_a_load_waits_as_long_as_librdkafka_tries() -> None:
    """Without end is not waited for."""
    assert overrides.patience_seconds({}) == 120
    assert overrides.patience_seconds({"message.timeout.ms": "1500"}) == 1.5
    assert overrides.patience_seconds({"message.timeout.ms": "0"}) == 300
