"""`obliq record init`: a new record."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from obliq.cli.options import DataOptions, File, Flag, Folder, OutputOptions, ResultFolder
from obliq.cli.record.options import Actor, head_line
from obliq.cli.retrain import RecipeOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput

if TYPE_CHECKING:
    from obliq.record.policy import Retraining


@dataclass(frozen=True, kw_only=True)
class RecordInitArguments:
    """Create the erasure record of a network.

    Example: obliq record init runs/original --out record --by "A. Example"

    A record belongs to one network. It keeps every request and everything that was done about it in a log that only
    grows. The network is copied into it. Who was asked to be forgotten is encrypted, each request under a key of its
    own in the folder RECORD.keys. Do not back up this folder together with the record: the keys are destroyed when
    cases are closed, and a copy of them would outlive that.

    Attributes:
        original: Folder of the network, as `obliq train` or `obliq adopt` wrote it.
        keys: Another folder for the keys.
        approvals: How many different people must approve a request before it is answered.
        devices: How many devices run the network; 0 if that is not known.
        references: How many retrained networks each audit compares with; 0, or 2 to 64. Four or more are recommended,
            as fewer often leave the verdict INCONCLUSIVE. Each takes about the time of the original training. A network
            that was trained elsewhere has no recipe to repeat. It needs --with, or --weights or --epochs.
        with_: Retrain every reference by your own training, as module:function. `obliq record run` needs the name
            again.
        weights: You retrain the references of each batch yourself, and pass their files to `obliq record run`.
        from_weights: The weights from which `obliq train --from-weights` started.
        method: Unlearning method, as `obliq unlearn --help` lists them.
        settings: Settings of the method, such as epochs=8.
        to: Format of the file that devices run.
        certificate_key: Private key (PEM, Ed25519 or ECDSA P-256) that signs a certificate for every case that is
            answered. The record keeps the fingerprint of the key and the place of its file, and never the key.
    """

    original: tyro.conf.Positional[Path]
    out: ResultFolder
    by: Actor
    keys: Folder = None
    approvals: int = 1
    devices: int = 0
    references: int = 4
    with_: Annotated[
        str | None, tyro.conf.arg(name="with", metavar="MODULE:FUNCTION", help_behavior_hint="")
    ] = None
    weights: Flag = False
    from_weights: Annotated[str | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")] = None
    recipe: RecipeOptions = field(default_factory=RecipeOptions)
    method: str = "proxy-matching"
    settings: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE [NAME=VALUE ...]", help_behavior_hint="")
    ] = ()
    to: Literal["onnx", "executorch"] = "onnx"
    certificate_key: File = None
    data: DataOptions = field(default_factory=DataOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_record_init(arguments: RecordInitArguments, progress: StageListener) -> VerbOutput:
    """Create a record."""
    from obliq.cli.next_command import repeated_options
    from obliq.record.creation import create_record
    from obliq.record.folder import Record
    from obliq.record.method_settings import parse_settings
    from obliq.record.policy import Policy

    policy = Policy(
        approvals=arguments.approvals,
        devices=arguments.devices,
        references=arguments.references,
        method=arguments.method,
        settings=parse_settings(arguments.settings),
        format=arguments.to,
        retraining=_retraining(arguments),
    )
    data = arguments.data
    state = create_record(
        arguments.out,
        arguments.original,
        policy,
        arguments.by,
        keys=arguments.keys,
        certificate_key=arguments.certificate_key,
        from_weights=arguments.from_weights or "",
        data=data.data,
        data_folder=data.data_folder,
        architecture=data.arch,
    )
    record = Record(arguments.out)
    keys = record.keys.folder
    signing = state.begun.policy.certificate_key
    repeated = repeated_options(data.data_folder, stored=record.source())
    return VerbOutput(
        lines=[
            f"record  {arguments.out}, for the network {state.begun.network}",
            f"keys    {keys}; keep it out of backups of the record",
            *(
                [f"audits  references: {state.begun.policy.references_in_words}"]
                if state.begun.policy.retraining
                else []
            ),
            *([f"signed  certificates, with the key {signing}"] if signing else []),
            head_line(state),
        ],
        values={
            "record": str(arguments.out),
            "keys": str(keys),
            "network": state.begun.network,
            "certificate_key": signing or None,
            "references": state.begun.policy.references_in_words,
            "head": state.head,
        },
        next_command=(
            "record",
            "add",
            arguments.out,
            "CASE",
            "--forget",
            "WHAT",
            "--by",
            arguments.by,
            *repeated,
        ),
    )


def _retraining(arguments: RecordInitArguments) -> "Retraining | None":
    """How references are retrained.

    Raises:
        RecordError: when more than one way is named, or a recipe without its length.
    """
    from obliq.errors import RecordError
    from obliq.io.strict_json import encode
    from obliq.record.policy import Retraining
    from obliq.training.loop import Recipe

    own = arguments.recipe.given
    ways = {
        "--with": Retraining(way="function", function=arguments.with_) if arguments.with_ else None,
        "--weights": Retraining(way="files") if arguments.weights else None,
        "--from-weights": Retraining(way="start") if arguments.from_weights else None,
        "--epochs": Retraining(way="recipe", recipe=encode(Recipe(**own))) if "epochs" in own else None,
    }
    named = {option: way for option, way in ways.items() if way is not None}
    if len(named) > 1:
        raise RecordError(f"{' and '.join(named)} together; expected one way to retrain references")
    if own and "epochs" not in own:
        raise RecordError(f"{', '.join(own)} without epochs; expected --epochs")
    return next(iter(named.values()), None)


INIT = Verb(RecordInitArguments, run_record_init)
