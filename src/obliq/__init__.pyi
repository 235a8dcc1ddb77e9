from obliq.auditing import Audit as Audit, Measurement as Measurement
from obliq.checkpoints import Blueprint as Blueprint, Provenance as Provenance, Checkpoint as Checkpoint
from obliq.checkpoints.run_folder import SavedRun as SavedRun, load_run as load_run, save_run as save_run
from obliq.data import (
    Collection as Collection,
    Examples as Examples,
    Partition as Partition,
    PartitionRule as PartitionRule,
    Splits as Splits,
    load_dataset as load_dataset,
    parse_selector as parse_selector,
    partition as partition,
    select as select,
)
from obliq.errors import (
    AuditError as AuditError,
    DataError as DataError,
    ModelError as ModelError,
    ObliqError as ObliqError,
)
from obliq.methods import (
    FineTune as FineTune,
    Method as Method,
    OEU as OEU,
    Retrain as Retrain,
    available_methods as available_methods,
)
from obliq.models import build_model as build_model, initialise as initialise
from obliq.quantization import (
    IntegerTensor as IntegerTensor,
    Precision as Precision,
    integer_state as integer_state,
    quantize as quantize,
    weights_digest as weights_digest,
)
from obliq.run import Run as Run, Trace as Trace, device_named as device_named
from obliq.training.loop import Recipe as Recipe, accuracy as accuracy, predict as predict, fit as fit
from obliq.workflow.compare_networks import compare_runs as compare_runs
from obliq.workflow.pipeline import (
    create_request as create_request,
    unlearn_original as unlearn_original,
    train_original as train_original,
    recipe_of as recipe_of,
    write_report as write_report,
    same_partition as same_partition,
    report_context as report_context,
)
