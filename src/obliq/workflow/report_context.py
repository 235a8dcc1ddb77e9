"""What a report states around the numbers: data, network, method and training, never who was forgotten."""

from collections.abc import Mapping, Sequence
from typing import Any

from obliq.checkpoints import Provenance, present_versions
from obliq.checkpoints.run_folder import SavedRun
from obliq.data import parse_selector
from obliq.data.selectors import Classes, RandomCount, RandomShare, Several, Subjects
from obliq.methods import UsedAccess, used_access
from obliq.report import ReportContext
from obliq.report.content import UNKNOWN
from obliq.workflow.way_to_retrain import way_to_retrain


def report_context(
    original: SavedRun, others: Mapping[str, SavedRun], selector: str, *, images: Sequence[bytes] = ()
) -> ReportContext:
    """What a report states around the numbers: kinds and counts, never who was forgotten."""
    unlearned = {name: run for name, run in others.items() if run.checkpoint.provenance.role == "unlearned"}
    provenance, blueprint = original.checkpoint.provenance, original.checkpoint.blueprint
    training = {"original": original.trace}
    retrained = [name for name, run in others.items() if run.checkpoint.provenance.role == "retrained"]
    training |= {name: others[name].trace for name in retrained[:1]}
    first = next(iter(unlearned.values()), None)
    provenances = {name: run.checkpoint.provenance for name, run in unlearned.items()}
    method, settings = methods_in_words(provenances)
    return ReportContext(
        request=kind_of_request(selector),
        data=provenance.data,
        architecture=blueprint.architecture,
        method=method,
        method_settings=settings,
        retain_data=retain_data_in_words(provenances),
        way_to_retrain=" ".join(way_to_retrain(provenance)),
        training_settings={**_weights_in_words(provenance), **(provenance.recipe or {})},
        trace=first.trace if first else (),
        training=training,
        versions=present_versions(),
        images=images,
    )


def _weights_in_words(provenance: Provenance) -> dict[str, str]:
    """Where the weights of an original come from, if Obliq did not draw them."""
    loaded = provenance.loaded
    if loaded is None:
        return {}
    words = {"weights": f"{loaded.source}, {'the start' if provenance.recipe else 'trained elsewhere'}"}
    if loaded.fine_tuning is not None:
        words["fine-tuning"] = ", ".join(f"{name}={value}" for name, value in loaded.fine_tuning.items())
    return words


def methods_in_words(provenances: Mapping[str, Provenance]) -> tuple[str, dict[str, Any]]:
    """Names and settings of the methods behind networks or files; settings are prefixed where there are several."""
    settings = {
        f"{name}: {field}" if len(provenances) > 1 else field: value
        for name, provenance in provenances.items()
        for field, value in (provenance.method_fields or {}).items()
    }
    methods = dict.fromkeys(str(provenance.method) for provenance in provenances.values())
    return ", ".join(methods) or "not recorded", settings


_READ: Mapping[UsedAccess, str] = {
    "retain set": "the samples themselves",
    "part of the retain set": "a part of the samples",
    "statistics": "only statistics, such as sums of squared gradients",
    "nothing": "nothing",
}


def retain_data_in_words(provenances: Mapping[str, Provenance]) -> dict[str, str]:
    """What the methods behind networks or files read of the retained samples, by the networks' names."""
    found = {
        name: used_access(one.method, one.method_fields or {}) if one.method else None
        for name, one in provenances.items()
    }
    return {name: UNKNOWN if access is None else _READ[access] for name, access in found.items()}


def kind_of_request(selector: str) -> str:
    """The kind of a request in words, for instance `one subject`."""
    match parse_selector(selector):
        case Classes(names):
            return _counted(len(names), "class", "classes")
        case Subjects(names):
            return _counted(len(names), "subject", "subjects")
        case RandomShare() | RandomCount():
            return "a random share of the samples"
        case Several(selectors):
            return " and ".join(dict.fromkeys(kind_of_request(str(one)) for one in selectors))
        case _:
            return "listed samples"


def _counted(count: int, one: str, many: str) -> str:
    return f"one {one}" if count == 1 else f"{count} {many}"
