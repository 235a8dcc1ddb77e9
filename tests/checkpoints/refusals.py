"""That loading refuses a folder in one line, and runs no code of it."""

import copy
import sys
from functools import cache
from pathlib import Path

import pytest

from obliq.checkpoints import Blueprint, load_checkpoint
from obliq.errors import ModelError

FORBIDDEN_EVENTS = {
    "compile",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "socket.connect",
    "ctypes.dlopen",
    "pickle.find_class",
}

watched: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if watched is not None and event in FORBIDDEN_EVENTS:
        watched.append(f"{event} {arguments[0]!r}")


sys.addaudithook(_watch)


@cache
def graphs_of_our_own() -> frozenset[str]:
    """What torch.fx compiles when it traces our own networks; the one code that loading may make."""
    global watched
    watched = []
    for architecture, shape in (("convnet", (1, 8, 8)), ("resnet20", (1, 8, 8))):
        copy.deepcopy(Blueprint(architecture=architecture, input_shape=shape, classes=3).outline())
    events, watched = frozenset(watched), None
    return events


def refused(folder: Path, file: str) -> str:
    """The message of the one error that loading ends in; anything else fails the test."""
    global watched
    allowed = graphs_of_our_own()
    modules = set(sys.modules)
    watched = []
    try:
        with pytest.raises(ModelError) as caught:
            load_checkpoint(folder)
        assert set(watched) <= allowed
    finally:
        watched = None
    assert set(sys.modules) == modules
    message = str(caught.value)
    assert message.startswith(f"{folder / file}: ")
    assert "\n" not in message
    assert len(message) < 1200
    return message
