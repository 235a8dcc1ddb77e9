from obliq.auditing import (
    Audit as Audit,
    Measurement as Measurement,
    Verdict as Verdict,
)
from obliq.checkpoints import (
    Blueprint as Blueprint,
    Checkpoint as Checkpoint,
    Provenance as Provenance,
)
from obliq.checkpoints.run_folder import (
    SavedRun as SavedRun,
    load_run as load_run,
    save_run as save_run,
)
from obliq.data import (
    Collection as Collection,
    DataLike as DataLike,
    Examples as Examples,
    PartitionRule as PartitionRule,
    Splits as Splits,
    forget_retain_split as forget_retain_split,
    load_dataset as load_dataset,
    train_holdout_test_split as train_holdout_test_split,
)
from obliq.errors import (
    AuditError as AuditError,
    CertificateError as CertificateError,
    DataError as DataError,
    GateError as GateError,
    ModelError as ModelError,
    ObliqError as ObliqError,
    PatchError as PatchError,
)
from obliq.methods import (
    Calibrated as Calibrated,
    FineTune as FineTune,
    Method as Method,
    OEU as OEU,
    ProxyMatching as ProxyMatching,
    SFRon as SFRon,
    available_methods as available_methods,
)
from obliq.patch import PatchHead as PatchHead
from obliq.quantization import (
    IntegerTensor as IntegerTensor,
    Precision as Precision,
    integer_state as integer_state,
    quantize as quantize,
    weights_digest as weights_digest,
)
from obliq.record.certificate.make import make_certificate as make_certificate
from obliq.record.certificate.verify import (
    VerifiedCertificate as VerifiedCertificate,
    verify_certificate as verify_certificate,
)
from obliq.run import (
    Listener as Listener,
    Run as Run,
    Trace as Trace,
)
from obliq.training.loop import Recipe as Recipe
from obliq.training.prediction import (
    accuracy as accuracy,
    predict as predict,
)
from obliq.workflow.audit_networks import audit as audit
from obliq.workflow.deployment import (
    apply_patch as apply_patch,
    export as export,
    make_patch as make_patch,
)
from obliq.workflow.networks import (
    calibrate as calibrate,
    create_network as create_network,
    retrain as retrain,
    train as train,
    unlearn as unlearn,
)
from obliq.workflow.pipeline import write_report as write_report
