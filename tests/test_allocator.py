"""Memory is kept where the C library can, and nothing else changes where it cannot."""

import ctypes
import subprocess
import sys

import pytest

from obliq import run

FAULTS = """
import resource
import torch
from obliq.run import keep_memory

if {keep}:
    keep_memory()
torch.set_num_threads(1)
torch.ones(30_000_000)  # the first pass always maps its pages
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(30_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, keep: bool) -> int:
    ran = subprocess.run(
        [sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems count page faults otherwise")
def test_a_pass_that_was_made_before_maps_no_pages_again() -> None:
    if not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"):
        pytest.skip("the C library is not glibc")
    # the kernel may reclaim idle pages of a busy machine meanwhile: one quiet run of a few counts
    usual = faults(keep=False)
    assert any(faults(keep=True) < usual / 2 for _ in range(4))


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: object) -> object:
        raise OSError("no such library")

    monkeypatch.setattr(run.ctypes, "CDLL", missing)
    assert not run.keep_memory()
