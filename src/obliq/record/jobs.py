"""The work on a batch, step by step, in any of which its process may be killed.

The result of a step is a folder that appears when it is complete, and an event in the log. A process that is killed
leaves a draft, which the next one removes; or a folder without its event, which the next one reads and notes. So a
finished step is never computed again. An unfinished one leaves nothing but the state of its training, from which the
same training goes on.
"""

from dataclasses import replace

from obliq.io.atomic import new_folder
from obliq.io.drafts import remove_tree, sweep
from obliq.io.ownership import require_written_by_us
from obliq.record.batch_steps import BatchSteps, Worker
from obliq.record.batches import batch_request
from obliq.record.computing import BatchInputs
from obliq.record.found_results import check_left, check_new
from obliq.record.state import RecordState


def work(worker: Worker, number: int) -> RecordState:
    """Do the steps of a batch that are not done, up to its end or to a refusal.

    Args:
        worker: what the steps need.
        number: of the batch.

    Raises:
        ObliqError: when a step fails; the steps before it are kept.
    """
    record = worker.record
    state, folder = record.state(), record.batch(number)
    trainings = record.trainings(number)
    for line in sweep(folder):
        worker.stage(line)
    splits, request = batch_request(record, worker.parts, state, state.batch(number))
    inputs = BatchInputs(
        original=worker.original,
        splits=splits,
        request=request,
        digest=splits.digest,
        run=replace(worker.run, trainings=trainings),
        architecture=worker.architecture,
    )
    while (step := BatchSteps(worker, state, state.batch(number), inputs).next()) is not None:
        result = folder / step.name
        found = result.exists()
        if found:
            require_written_by_us(result)
        if found and step.check is not None:
            check_left(result, step.check)
        else:
            remove_tree(result)
            worker.stage(step.words)
            with new_folder(result) as draft:
                step.write(draft)
                check_new(draft, step.check, step.words)
        if not worker.computer.is_ahead:
            remove_tree(trainings.folder)
        state = record.append(worker.actor, step.read(result))
    return state
