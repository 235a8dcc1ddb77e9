"""What the command line does with a network that failed its gate: it is kept apart, and the exit status is 3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from obliq.checkpoints import Provenance
from obliq.cli.next_command import free_name


@dataclass(frozen=True, kw_only=True)
class GatedResult:
    """Where a result goes, and what to print about its gate.

    Attributes:
        provenance: of the result, with the acceptance.
        out: the wanted path; another one for a result that failed.
        lines: for people.
        values: for the JSON object.
        unmet: why it failed, for the exit status; empty when it passed or was accepted.
    """

    provenance: Provenance
    out: Path
    lines: Sequence[str] = ()
    values: Mapping[str, Any]
    unmet: str = ""


def judge_gate(provenance: Provenance, out: Path, *, accept: bool) -> GatedResult:
    """Decide where a result goes. A failed one that nobody accepted goes to a new path that ends in `.failed`."""
    gate = provenance.gate
    if gate is None:
        return GatedResult(provenance=provenance, out=out, values={})
    failed = bool(gate.failures)
    values = {
        "gate": {
            "passed": not failed,
            "accepted": failed and accept,
            "failures": list(gate.failures),
            "accuracy_before": gate.before,
            "accuracy_after": gate.after,
        }
    }
    lines = [
        "accuracy: "
        + "; ".join(
            f"{gate.before[role]:.1f} % before and {gate.after[role]:.1f} % after on {role} samples"
            + (f" ({gate.start[role]:.1f} % before all requests)" if role in gate.start else "")
            for role in gate.before
        )
    ]
    if not failed:
        return GatedResult(provenance=provenance, out=out, lines=lines, values=values)
    lines += [f"FAILED: {failure}" for failure in gate.failures]
    if accept:
        accepted = replace(provenance, gate=replace(gate, accepted=True))
        return GatedResult(provenance=accepted, out=out, lines=lines, values=values)
    return GatedResult(
        provenance=provenance,
        out=free_name(out, f"{out.name}.failed"),
        lines=lines,
        values=values,
        unmet="the unlearned network failed its gate and cannot be exported; expected another method, "
        "other settings (a lower --learning-rate, if the method has one), or --accept to keep it as it is",
    )
