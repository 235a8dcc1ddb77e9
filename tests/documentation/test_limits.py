"""The limits that SECURITY.md and docs/patch-format.md state are those of the code."""

from obliq.io import archive, budget, document_text, keys
from obliq.patch import decoder
from obliq.record import log
from obliq.record.certificate import envelope, page, verify
from tests.documentation.pages import ROOT

KIB, MIB = 2**10, 2**20


def test_limits_are_those_of_the_code() -> None:
    work = f"{budget.WORK_OF_ANY / 1e9:.1f} s + {budget.WORK_OF_BYTE} ns for each byte"
    stated = {
        "SECURITY.md": [
            f"| any size | {budget.MEMORY_OF_ANY / MIB:g} MiB + {budget.MEMORY_OF_BYTE} bytes for each byte | {work}",
            f"| 10 MB | {budget.MEMORY_OF_ANY / MIB + budget.MEMORY_OF_BYTE * 1e7 / MIB:.0f} MiB |",
            f"| `.npz`, list of its entries | 16 GiB, {archive.LARGEST_DIRECTORY / MIB:g} MiB |",
            f"| any other JSON document, header of safetensors | {document_text.LARGEST_DOCUMENT / MIB:g} MiB |",
            f"| key | {keys.LARGEST_KEY / KIB:g} KiB |",
            f"| certificate, its page, a file that it names | {envelope.LARGEST_ENVELOPE / KIB:g} KiB, "
            f"{page.LARGEST_PAGE / MIB:g} MiB, {verify.LARGEST_SUBJECT / MIB**2:g} TiB; "
            f"{envelope.MOST_SIGNATURES} signatures |",
            f"| log of a record | {log.LARGEST_LOG / MIB:g} MiB; {log.PATIENCE:g} s until another process has "
            "written |",
        ],
        "docs/patch-format.md": [
            f"| number of records, at most {decoder.MOST_RECORDS:,} |",
            f"| length of the whole image in bytes, at most 2^31 - {2**31 - decoder.LARGEST_IMAGE} |",
            f"| length of the label, at most {decoder.LONGEST_LABEL} |",
        ],
    }
    for name, lines in stated.items():
        text = (ROOT / name).read_text()
        assert [line for line in lines if line not in text] == []
