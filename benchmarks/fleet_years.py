"""Two years of a small fleet: 60 requests for five networks, and 1,000 devices of which some are off for long.

    python benchmarks/fleet_years.py [--kept DIR] [--months N]

Five networks of the handwritten digits (the ConvNet of the demo, W4A4, 8 epochs), each with a record of its own, 12
requests and 200 devices. Everything goes through the verbs of `obliq record`, with a clock that the script sets. Each
month, officers note and approve what came, and an engineer runs what is due on the 28th, so that requests are
gathered by month. Devices that are on (of two networks all of them, in
every month) take one patch to the newest network on the 2nd. On the 3rd the officers close
the cases that every device has confirmed, and those whose answer falls due before the next closing, with the reason.
A result that the audit refuses is computed again with another method, and accepted if that is refused, too.

Five devices of each network are real: `DeviceStore` on a model of flash memory installs the very patch that the record
made, confirms it, and must refuse the patch again. The others are counted: each has the file of its floor and takes
the patch from there. Every certificate is verified by `obliq certificate verify` when it is issued, and at the end.

Finished steps are noted in DIR, so that the script goes on where it stopped. At the end it writes
results/fleet_years.json and results/fleet_years.md.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

from obliq.io.keys import create_private_key
from obliq.record.cases import REFUSED
from obliq.record.verification import verify_record
from simulated_fleet import DEVICES, MONTHS, REAL, REQUESTS, Fleet

RESULTS = Path(__file__).parent / "results"
NETWORKS = 5

HEAD = f"""# Two years of a small fleet

Made by `benchmarks/fleet_years.py`: {NETWORKS} networks of the digits (ConvNet, W4A4, 8 epochs) with a record each,
{REQUESTS} requests and {DEVICES} devices a network, `proxy-matching` at its defaults and two references in each audit.
{REAL} devices of each network are real: the reference device store installs the patches of the record on a model of
flash memory. The others are counted. The clock is simulated; everything else is what the verbs do. Requests come in
seven months for the first network and in four for each other one. Devices of the first two are on in every month."""

ROWS: dict[str, Callable[[dict[str, Any]], object]] = {
    "requests": lambda one: one["requests"],
    "closed when every device had confirmed": lambda one: one["closed"].get("confirmed by all", 0),
    "closed before, with the number of devices that are off": lambda one: one["closed"].get(
        "before all confirmed", 0
    ),
    "closed as rejected": lambda one: one["closed"].get("rejected", 0),
    "still open": lambda one: one["open"],
    "closed after the day on which they were due": lambda one: one["late"],
    "batches that were shipped": lambda one: one["batches"],
    "batches given up after a refusal": lambda one: one["given up"],
    "shipped although refused twice": lambda one: one["accepted although refused"],
    "verdict INDISTINGUISHABLE": lambda one: one["verdicts"].get("INDISTINGUISHABLE", 0),
    "verdict INCONCLUSIVE": lambda one: one["verdicts"].get("INCONCLUSIVE", 0),
    "verdict NOTHING TO MEASURE": lambda one: one["verdicts"].get("NOTHING TO MEASURE", 0),
    "other verdicts": lambda one: sum(one["verdicts"].get(word, 0) for word in REFUSED),
    "certificates": lambda one: one["certificates"],
    "certificates that verify": lambda one: sum(one["verified"].values()),
    "samples forgotten": lambda one: one["samples forgotten"],
    "devices at the floor": lambda one: f"{one['devices at the floor']} of {one['devices']}",
    "patches taken by devices": lambda one: one["patches"],
    "KiB of these": lambda one: round(one["patch bytes"] / 1024),
    "releases that a patch skipped": lambda one: one.get("releases skipped", 0),
    "patches installed by real devices": lambda one: one.get("installed", 0),
    "replayed patches that these refused": lambda one: one.get("replays refused", 0),
    "patch files made": lambda one: one["patch files"],
    "entries of the log": lambda one: one["entries"],
    "problems that `record verify` found": lambda one: len(one["problems"]),
}


def summary(fleet: Fleet) -> dict[str, Any]:
    """What two years came to, from the record and from the devices."""
    record = fleet.record
    entries, state = record.entries(), record.state()
    verified: Counter[str] = Counter()
    for batch in state.batches:
        verified.update(fleet.verify_certificates(batch) if batch.patched else {})
    closings: Counter[str] = Counter()
    for name, value in fleet.steps.done.items():
        closings.update(value if name.endswith(" close") else {})
    check = verify_record(record, fleet.steps.done["created"])
    shipped = [batch for batch in state.batches if batch.patched]
    return {
        "requests": len(state.cases),
        "open": sum(case.closed is None for case in state.cases.values()),
        "late": sum(case.is_overdue(date.max) for case in state.cases.values()),
        "closed": dict(closings),
        "batches": len(shipped),
        "given up": sum(bool(batch.abandoned) for batch in state.batches),
        "accepted although refused": sum(bool(batch.tolerated) for batch in shipped),
        "verdicts": dict(Counter(batch.audited.verdict for batch in shipped if batch.audited)),
        "certificates": sum(len(batch.certified.certificates) for batch in shipped if batch.certified),
        "verified": dict(verified),
        "samples forgotten": shipped[-1].planned.samples,
        "devices": DEVICES,
        "devices at the floor": int((fleet.floors == state.released[-1]).sum()),
        "floor": state.released[-1],
        **fleet.counts,
        "patch files": sum(len(batch.patched.patches) for batch in shipped if batch.patched),
        "entries": len(entries),
        "problems": list(check.problems),
        "keys left": sorted(name for name in record.keys.names()),
    }


def table(found: list[dict[str, Any]]) -> str:
    """The results as a page."""
    names = " | ".join(f"network {number + 1}" for number in range(len(found)))
    lines = [HEAD, "", f"| | {names} | all |", "| --- |" + " ---: |" * (len(found) + 1)]
    for words, value in ROWS.items():
        cells = [value(one) for one in found]
        whole = sum(cell for cell in cells if isinstance(cell, int))
        everything = f"{whole:,}"
        if words == "devices at the floor":
            everything = f"{sum(one['devices at the floor'] for one in found):,} of {NETWORKS * DEVICES:,}"
        lines.append(f"| {words} | {' | '.join(map(str, cells))} | {everything} |")
    return "\n".join(lines) + "\n"


def run() -> None:
    """Play, and write the results when all months are over."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kept", type=Path, default=RESULTS / "fleet_years.kept")
    parser.add_argument("--months", type=int, default=MONTHS + 2, help="stop after so many months")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.kept.mkdir(parents=True, exist_ok=True)
    write_keys(given.kept)
    fleets = [Fleet(given.kept.resolve(), number) for number in range(NETWORKS)]
    for fleet in fleets:
        fleet.prepare()
        for month in range(given.months):
            fleet.play(month)
    if given.months < MONTHS + 2:
        return
    found = [summary(fleet) for fleet in fleets]
    (RESULTS / "fleet_years.json").write_text(json.dumps(found, indent=1) + "\n")
    (RESULTS / "fleet_years.md").write_text(table(found))
    print(table(found))
    for one in found:
        assert one["open"] == 0, "a case is open"
        assert one["devices at the floor"] == DEVICES, "a device is below the floor"
        assert sum(one["verified"].values()) == one["certificates"], "a certificate does not verify"
        assert not one["problems"], one["problems"]


def write_keys(folder: Path) -> None:
    """The pair of keys that signs and verifies certificates, once."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    file = folder / "private.pem"
    if not file.exists():
        key = create_private_key()
        file.with_suffix(".pub").write_bytes(key.public.pem)
        file.touch(mode=0o600)
        file.write_bytes(key.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


if __name__ == "__main__":
    run()
