import pytest

from obliq.auditing import audit_models
from obliq.auditing.comparison import tug_of_war
from tests.auditing.synthetic import three


def test_product_of_the_three_likenesses() -> None:
    reference = audit_models(three(), precision="W4A4").entries[-1]
    aim = reference.values
    off = dict(aim) | {
        "forget_accuracy": reference.forget_accuracy - 10,
        "retain_accuracy": reference.retain_accuracy + 4,
        "test_accuracy": reference.test_accuracy - 20,
    }
    assert tug_of_war(off, aim) == tug_of_war(aim, off) == pytest.approx(0.9 * 0.96 * 0.8)


def test_one_for_the_retrained_network_and_nothing_without_it() -> None:
    original, unlearned, retrained = audit_models(three(), precision="W4A4").entries
    assert retrained.tow == 1
    assert original.tow < unlearned.tow < 1
    assert all(entry.tow is None for entry in audit_models(three()[:2], precision="W4A4").entries)
