"""`obliq retrain`: the reference of an audit, a network that never saw the forget set."""

from dataclasses import dataclass, field

from obliq.cli.options import OutputOptions, RequestOptions, TrainingComputeOptions
from obliq.cli.verbs import StageListener, Verb, VerbOutput


@dataclass(frozen=True, kw_only=True)
class RetrainArguments(RequestOptions):
    """Train again without those samples, as the reference.

    Example: obliq retrain runs/original --forget subject=7 --out runs/retrained

    The recipe is the original's, so the folder of the original is needed. An audit measures every gap to this network.
    """

    compute: TrainingComputeOptions = field(default_factory=TrainingComputeOptions)
    output: OutputOptions = field(default_factory=OutputOptions)


def run_retrain(arguments: RetrainArguments, progress: StageListener) -> VerbOutput:
    """Retrain by the original's recipe."""
    from obliq.cli.answer_request import answer_request
    from obliq.cli.computation import start_run
    from obliq.methods import Retrain
    from obliq.workflow.pipeline import recipe_of

    run = start_run(arguments.compute, progress, compiled=arguments.compute.compile)
    return answer_request(arguments, run, progress, lambda original: Retrain(recipe=recipe_of(original)))


VERB = Verb(RetrainArguments, run_retrain)
