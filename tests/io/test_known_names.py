"""Errors about names that do not exist."""

from obliq.io.known_names import unknown_name

KNOWN = ("fine-tune", "oeu")


def test_a_name_cannot_control_a_terminal_or_fill_it() -> None:
    assert unknown_name("method", "x\x1b[2J\n\ud800", KNOWN) == r"there is no method 'x\x1b[2J\n\ud800';"
    assert unknown_name("method", "x" * 10_000, KNOWN) == f"there is no method '{'x' * 80}...';"


def test_the_nearest_name_is_found_for_a_mistyped_one() -> None:
    assert unknown_name("method", "Fine_tune", KNOWN).endswith("did you mean 'fine-tune'?")
