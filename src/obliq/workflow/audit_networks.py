"""Audit any networks that a caller has: only their logits and integers are read, not how they were trained."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

import torch
from numpy.typing import ArrayLike
from torch import nn

from obliq.argument_types import require_flags
from obliq.auditing import Audit, AuditedModel, audit_models
from obliq.auditing.measurement import Kind
from obliq.data import DataLike, Splits
from obliq.errors import AuditError, ModelError
from obliq.exporting import exact_if_deployed
from obliq.quantization import activations, changed_codes, weighted_layers, weights_digest
from obliq.quantization.precision import FLOAT_BITS
from obliq.run import device_named
from obliq.workflow.compare_files import network_signals, retrained_name, with_exposure
from obliq.workflow.device_answers import add_device, recording_of, recording_settings
from obliq.workflow.network_checks import join_for, outputs_of
from obliq.workflow.repeated_trainings import require_different_networks

RESERVED = ("original", "retrained")


def audit(
    original: nn.Module,
    unlearned: nn.Module | Mapping[str, nn.Module],
    *,
    forget: DataLike,
    retain: DataLike,
    test: DataLike,
    holdout: DataLike | None = None,
    retrained: nn.Module | Sequence[nn.Module] = (),
    chosen_at_random: bool = False,
    answers: Mapping[str, ArrayLike] | None = None,
    device: str = "auto",
) -> Audit:
    """Measure how well networks have forgotten, and what they can still do.

    Any networks from inputs to logits can be audited. No record of their training is needed; numbers that need one,
    such as the time that unlearning took, are left out.

    Args:
        original: the network before the request.
        unlearned: the network after it, or several by name.
        forget: the samples to forget. All sets may be map-style data sets of (input, label), pairs of tensors
            (inputs, labels), or samples of ours; inputs as the networks read them.
        retain: the rest of what the original was trained on.
        test: samples of the same kind that no network was trained on, some of them of the forget set's classes.
        holdout: other such samples, which the unlearning method may have read; left out of the numbers where missing.
        retrained: a network trained without the forget set, or several with different seeds. Every gap is measured
            from the first. A verdict needs several, which show how much retraining varies by chance: begin with four.
            Without any there are no gaps.
        chosen_at_random: whether chance alone chose the forget set, so that unseen samples are like it.
        answers: logits that a device gave with the unlearned network, by the name of the set (`forget`, `retain`,
            `test`, `holdout`), a row for each sample in its order. The audit then has an entry `device`, and sets
            without answers are left out.
        device: where to compute: `auto` (an accelerator where there is one), `cpu` or `cuda`.

    Returns:
        The audit; `print` shows it in a few lines, `write_report` writes a page.

    Raises:
        AuditError: for networks that answer with other classes, with NaN, or under one name, and for retrained
            networks that are one training twice.
        DataError: for sets that cannot be read, do not fit the networks, or overlap, and for answers of another shape.
        ObliqError: for an argument of another type.

    Example:
        >>> import obliq
        >>> train, holdout, test = obliq.train_holdout_test_split(obliq.load_dataset("digits"))
        >>> forget, retain = obliq.forget_retain_split(train, "class=3")
        >>> network = obliq.create_network("convnet", (1, 8, 8), 10, precision="W4A4")
        >>> original = obliq.train(network, train, obliq.Recipe(epochs=1), progress=False)
        >>> unlearned = obliq.unlearn(original, forget=forget, retain=retain, method="sfron", progress=False)
        >>> audit = obliq.audit(original, unlearned, forget=forget, retain=retain, test=test)
        >>> audit.counts.forget, audit.precision
        (131, 'W4A4')
    """
    require_flags(chosen_at_random=chosen_at_random)
    named = dict(unlearned) if isinstance(unlearned, Mapping) else {"unlearned": unlearned}
    clash = next((name for name in named if name in RESERVED or name.startswith("retrained ")), None)
    if clash is not None or not named:
        given = f"a network called {clash!r}" if clash else "no unlearned network"
        raise AuditError(f"{given}; expected one or more, under names other than {' and '.join(RESERVED)}")
    splits = join_for(original, forget=forget, retain=retain, holdout=holdout, test=test)
    networks: dict[str, tuple[Kind, nn.Module]] = {"original": ("original", original)}
    networks |= {name: ("unlearned", model) for name, model in named.items()}
    references = [retrained] if isinstance(retrained, nn.Module) else list(retrained or ())
    networks |= {retrained_name(number): ("retrained", model) for number, model in enumerate(references, 1)}
    classes = outputs_of(original, splits.forget)
    for name, (_, model) in networks.items():
        found = outputs_of(model, splits.forget)
        if found != classes:
            raise AuditError(f"{name} distinguishes {found} classes; expected {classes}, as the original")
    require_different_networks(
        original, {name: model for name, (kind, model) in networks.items() if kind == "retrained"}
    )
    recording = None if answers is None else recording_of(answers, splits, classes)
    if recording is not None and len(named) > 1:
        raise AuditError(f"answers of a device to {len(named)} networks; expected one unlearned network")
    where = device_named(device)
    models = [
        _audited(kind, name, model, original, splits, where, relearned=bool(references))
        for name, (kind, model) in networks.items()
    ]
    models = with_exposure(models, splits)
    measured = audit_models(
        models if recording is None else add_device(models, recording),
        precision=precision_of(original),
        forgotten_classes=splits.forgotten_classes,
        exchangeable=chosen_at_random,
    )
    known = {
        "provenance": "not recorded: networks and samples were given by the caller",
        **recording_settings(recording),
    }
    return dataclasses.replace(measured, settings={**measured.settings, **known})


def precision_of(model: nn.Module) -> str:
    """The bits of a network in words, for instance `W4A4`: those of its coarsest layers, since edges may have more."""
    weights = [layer.bits for layer in weighted_layers(model).values()]
    codes = [quantizer.bits for quantizer in activations(model).values()]
    return f"W{min(weights)}A{min(codes, default=FLOAT_BITS)}" if weights else "FP32"


def _audited(
    kind: Kind,
    name: str,
    model: nn.Module,
    original: nn.Module,
    splits: Splits,
    device: torch.device,
    *,
    relearned: bool,
) -> AuditedModel:
    """Measure a network in every role: with the arithmetic of a device, where its biases are those of its file."""
    shape = splits.forget.collection.sample_shape
    computed = exact_if_deployed(model, shape) if weighted_layers(model) else None
    try:
        answers = network_signals(
            copy.deepcopy(model), splits, device, computed=computed, relearned=relearned
        )
    except AuditError as error:
        raise AuditError(f"{name}: {error}") from error
    return AuditedModel(
        kind=kind,
        name=name,
        answers=answers,
        weights_digest=_digest(model),
        changed_codes_percent=_changed_codes(original, model) if kind == "unlearned" else None,
    )


def _digest(model: nn.Module) -> str | None:
    try:
        return weights_digest(model)
    except ModelError:  # quantizers without steps, and tensors that are not finite
        return None


def _changed_codes(original: nn.Module, model: nn.Module) -> float | None:
    """In percent; None between networks of different forms or without integer weights."""
    try:
        return 100 * changed_codes(original, model)
    except ModelError:
        return None
