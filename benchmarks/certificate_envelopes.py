"""Two verifiers of certificates on thousands of mutated envelopes: ours, strict and conformant, and securesystemslib.

Run `python benchmarks/certificate_envelopes.py` with the extra dev. It takes about a minute.
"""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from obliq.record.certificate.statement import certificate_payload

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.record.certificate.cases import KEYS, predicate, subjects
from tests.record.certificate.second_verifier import Tally, compare_verifiers

RESULT = Path(__file__).parent / "results" / "certificate_envelopes.md"
TEXT = """# Two verifiers on mutated envelopes

Written by `benchmarks/certificate_envelopes.py`. A signed certificate was mutated at random: bits flipped, pieces
cut, inserted or doubled, fields replaced or added, signatures added, base64 rewritten. Ours and securesystemslib
{other} then decided (seed {seed}). A contradiction is any of these: somebody accepts a payload that was not signed;
ours accepts strictly what the other one refuses; or only the other one accepts a text that is within the standard.

| key | envelopes | accepted by the other | by ours, conformant | by ours, strict | contradictions |
| --- | ---: | ---: | ---: | ---: | ---: |
{rows}

What the other one accepts and strict reading refuses are other texts for the same signed bytes. Conformant reading
still refuses names that occur twice and base64 with foreign letters. It accepts a signature whatever its keyid, as the
standard demands and the other one does not.
"""


def row(kind: str, one: Tally) -> str:
    """A row of the table."""
    cells = (one.envelopes, one.other, one.conformant, one.strict, len(one.contradictions))
    return f"| {kind} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


def main() -> None:
    """Compare, and write the report."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--envelopes", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    payload = certificate_payload(predicate(), subjects())
    rows = [
        row(kind, compare_verifiers(key, payload, given.envelopes, given.seed)) for kind, key in KEYS.items()
    ]
    text = TEXT.format(other=version("securesystemslib"), seed=given.seed, rows="\n".join(rows))
    RESULT.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
