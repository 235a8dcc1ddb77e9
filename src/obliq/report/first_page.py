"""The first page in plain words: what was done, what came out, what to do next, and what is not claimed."""

from collections.abc import Mapping, Sequence

from obliq.auditing import Audit, Measurement
from obliq.auditing.verdict import Step
from obliq.report.content import UNKNOWN, ReportContext

HEADLINES = {
    "INDISTINGUISHABLE": "The attacks tried here cannot tell this network from one retrained without the samples.",
    "REMEMBERED": "The network still recognises samples that it should have forgotten.",
    "OVER-FORGOTTEN": "The network treats the forgotten samples worse than a network would that never saw them.",
    "DAMAGED": "The network does worse on other samples than retrained networks do.",
    "NOTHING TO MEASURE": "These attacks cannot tell even the network before unlearning from retrained ones.",
    "INCONCLUSIVE": "These measurements cannot decide whether the samples were forgotten.",
}

_AUDIT_COMMAND = "obliq audit ORIGINAL UNLEARNED --references {references} --out AUDIT"
_COMMANDS: Mapping[Step, str] = {
    "ship": "obliq export UNLEARNED --out unlearned.onnx",
    "more references": _AUDIT_COMMAND,
    "more samples": "obliq retrain ORIGINAL --forget request=UNLEARNED/request.json --out RETRAINED",
    "other settings": "obliq retrain ORIGINAL --forget request=UNLEARNED/request.json --out RETRAINED",
}
_RETRAINING = "obliq retrain ORIGINAL --forget request=UNLEARNED/request.json {way} "
_COMMANDS_BY_USER: Mapping[Step, Sequence[str]] = {
    "more references": (
        _RETRAINING + "--seed N --out RETRAINED-N",
        "obliq audit ORIGINAL UNLEARNED --retrained RETRAINED-* --out AUDIT",
    ),
    "more samples": (_RETRAINING + "--out RETRAINED",),
    "other settings": (_RETRAINING + "--out RETRAINED",),
}
_COMMANDS_FOR_FILES: Mapping[Step, str] = {
    "ship": "obliq patch make ORIGINAL UNLEARNED --out forget.patch --new-key keys/fleet.key",
    "more references": "obliq audit ORIGINAL UNLEARNED --retrained FILE FILE FILE FILE --data DATA --out AUDIT",
    "other settings": "obliq unlearn ORIGINAL --forget request=REQUEST --data DATA --out NEW calibrated --epochs 20",
}


def next_commands(audit: Audit, entry: Measurement, context: ReportContext) -> Sequence[str]:
    """The commands that a verdict advises, with names in capitals for the user's folders and files.

    The real names stay out: a folder may be called after who was forgotten, and a report outlives the request.
    """
    assert entry.verdict is not None
    step, alone = entry.verdict.next_step, "file, original" in audit.digests
    if context.way_to_retrain and not alone and step in _COMMANDS_BY_USER:
        return [command.format(way=context.way_to_retrain) for command in _COMMANDS_BY_USER[step]]
    command = (_COMMANDS_FOR_FILES if alone else _COMMANDS).get(step)
    return [] if command is None else [command.format(references=_wanted(entry))]


def explain_commands(audit: Audit, entry: Measurement, context: ReportContext) -> str:
    """How often the first command is needed where it trains a single network; empty for commands that do it all."""
    if len(next_commands(audit, entry, context)) < 2:
        return ""
    return (
        "Obliq cannot repeat the training of this network by itself. Run the first command for N from 1 to "
        f"{_wanted(entry)}, with your own training or weights, and then audit with all these networks."
    )


def _wanted(entry: Measurement) -> int:
    """How many retrained networks an audit should have."""
    known = None if entry.verdict is None else entry.verdict.references_wanted
    return max(known or 0, 4)


def what_was_done(audit: Audit, context: ReportContext) -> str:
    """The unlearning and the audit in two sentences."""
    if not audit.unlearned:
        return "No network was audited after unlearning."
    known = context.method not in (UNKNOWN, "not recorded")
    method = f"A method ({context.method})" if known else "A method that is not recorded"
    if known and ", " in context.method:
        method = f"Methods ({context.method.replace(', ', '; ')})"
    compared = "next to the network as it was before"
    if audit.counts.retrained:
        networks = "one network" if audit.counts.retrained == 1 else f"{audit.counts.retrained} networks"
        compared += f", and next to {networks} that never saw these samples"
    several = len(audit.unlearned) > 1
    result = f"The {len(audit.unlearned)} results were" if several else "The result was"
    return (
        f"{method} changed the finished network so that it should forget these samples. {result} then tested "
        f"{compared}."
    )


def explain_separation(audit: Audit, entry: Measurement) -> str:
    """The AUC of a network without jargon, with the values to compare it with; nothing without test samples."""
    if entry.auc_forget_vs_test is None:
        return ""
    sentences = [
        "Take pairs of a forgotten sample and an unseen one of the same classes. In "
        f"{entry.auc_forget_vs_test:.0f} of 100 pairs, the network is more certain of the forgotten sample.",
        f"Before unlearning, it was {audit.original.auc_forget_vs_test:.0f} of 100.",
    ]
    if audit.retrained is not None:
        sentences.append(
            f"For a network that never saw the forgotten samples, it is {audit.retrained.auc_forget_vs_test:.0f} of "
            "100: that is the value to aim at."
        )
    return " ".join(sentences)


_PATCHES = "Not that a patch hides what was forgotten."


def _exposed(audit: Audit) -> Sequence[tuple[str, str]]:
    """What the network before unlearning and a patch reveal together, for the first network that was measured so."""
    found = next((entry for entry in audit.unlearned if entry.exposure is not None), None)
    if found is None or found.exposure is None:
        rest = "Anyone who has the old network and a patch can compare both networks. This was not measured."
        return [(_PATCHES, rest)]
    rest = (
        "Anyone who has the old network and a patch can compare both networks. Ranked by how much their loss rose, the "
        f"forgotten samples are number {found.exposure.rank} of {found.exposure.of} {found.exposure.groups} "
        f"({found.name}). Send patches encrypted."
    )
    return [(_PATCHES, rest)]


def not_claimed(audit: Audit) -> Sequence[tuple[str, str]]:
    """What the page does not claim: each point in a few words, and the rest of the sentence."""
    attacks = ["a support vector classifier on confidence", "a comparison of confidences with unseen samples"]
    if audit.original.rmia_auc is not None:
        attacks.append("a comparison with confidences of the retrained networks (RMIA)")
    if audit.original.iam_auc is not None:
        attacks.append("a comparison with confidences of these and of the network before (IAM)")
    if audit.original.relearned_accuracy is not None:
        attacks.append("relearning a few samples")
    points = [
        (
            "Not that every trace is gone.",
            f"Tried were these attacks: {'; '.join(attacks)}. Not tried were attacks on single samples with many "
            "shadow networks, and longer relearning.",
        ),
        *_exposed(audit),
        ("Not that the law is met.", "People judge that. This page is one piece of evidence."),
        (
            "Nothing beyond the networks whose digests are listed:",
            "no data set, backup, copy, log, derived network, or device that still runs the original.",
        ),
        (
            "Nothing about a single sample.",
            f"Numbers are averages over {audit.counts.forget:,} forgotten samples. Intervals account for samples of "
            "one person where a set has five people or more, and take samples as independent otherwise.",
        ),
        (
            "Not who ran this, and on what.",
            "The case, the operator and the networks are as they were given; nothing here checks them.",
        ),
    ]
    if audit.counts.retrained == 1:
        points.append(
            ("Not what chance does to retraining.", "Another seed would move the one retrained network, too.")
        )
    if audit.counts.retrained > 1:
        points.append(
            (
                "Not that a verdict is never wrong.",
                "Its rule lets 5 of 100 networks be refused that were truly retrained. On small networks of digits and "
                "clothes, next to four retrained ones, 1 of 100 was, and 98 to 100 of 100 fakes of each kind were. Of "
                "mixtures with 25 % of the answers before unlearning, 66 of 100 passed.",
            )
        )
    return points
