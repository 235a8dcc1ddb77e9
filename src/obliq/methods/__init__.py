"""The published unlearning methods, one file each, under the names that the command line uses."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from obliq.errors import ModelError
from obliq.io.user_code import exit_as_error
from obliq.methods.a_amu import AAMU
from obliq.methods.amun import AMUN
from obliq.methods.bad_teacher import BadTeacher
from obliq.methods.boundary_expand import BoundaryExpand
from obliq.methods.boundary_shrink import BoundaryShrink
from obliq.methods.calibrated import Calibrated, CalibratedHoldout
from obliq.methods.coun import CoUn
from obliq.methods.ficabu import FiCABU
from obliq.methods.fine_tune import FineTune
from obliq.methods.gradient_ascent import GradientAscent
from obliq.methods.gradient_difference import GradientDifference
from obliq.methods.influence import Influence
from obliq.methods.jit import JiT
from obliq.methods.l1_sparse import L1Sparse
from obliq.methods.lotus import LoTUS
from obliq.methods.masked import Maskable, Masked
from obliq.methods.method import Access, Counted, Method, UsedAccess, access_of, access_with, run_method
from obliq.methods.mu_mis import MUMis
from obliq.methods.munba import MUNBa
from obliq.methods.oeu import OEU
from obliq.methods.projected_gradient import ProjectedGradient
from obliq.methods.proxy_matching import ProxyMatching
from obliq.methods.q_mul import QMUL
from obliq.methods.random_label import RandomLabel
from obliq.methods.regun import ReGUn
from obliq.methods.retrain import Retrain
from obliq.methods.salun import SalUn
from obliq.methods.scrub import SCRUB
from obliq.methods.selective_dampening import SelectiveDampening
from obliq.methods.sfron import SFRon
from obliq.methods.ugradsl import UGradSL
from obliq.methods.weight_negation import NoT

ENTRY_POINTS = "obliq.methods"
"""The group of entry points in which installed packages register their methods."""

BUILT_IN: dict[str, type[Method]] = {
    "proxy-matching": ProxyMatching,
    "calibrated": Calibrated,
    "calibrated-holdout": CalibratedHoldout,
    "oeu": OEU,
    "a-amu": AAMU,
    "amun": AMUN,
    "bad-teacher": BadTeacher,
    "boundary-expand": BoundaryExpand,
    "boundary-shrink": BoundaryShrink,
    "coun": CoUn,
    "ficabu": FiCABU,
    "fine-tune": FineTune,
    "gradient-ascent": GradientAscent,
    "gradient-difference": GradientDifference,
    "influence": Influence,
    "jit": JiT,
    "l1-sparse": L1Sparse,
    "lotus": LoTUS,
    "mu-mis": MUMis,
    "munba": MUNBa,
    "not": NoT,
    "projected-gradient": ProjectedGradient,
    "q-mul": QMUL,
    "random-label": RandomLabel,
    "regun": ReGUn,
    "retrain": Retrain,
    "salun": SalUn,
    "scrub": SCRUB,
    "selective-dampening": SelectiveDampening,
    "sfron": SFRon,
    "ugradsl-plus": UGradSL,
}


def available_methods() -> dict[str, type[Method]]:
    """Built-in methods, then those of installed packages.

    Raises:
        ModelError: when an installed package uses a name that is taken, or its method cannot be loaded.
    """
    methods = dict(BUILT_IN)
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name in methods:
            raise ModelError(
                f"the installed method {entry.value} calls itself '{entry.name}'; expected a free name"
            )
        try:
            with exit_as_error():
                methods[entry.name] = entry.load()
        except Exception as error:  # loading runs code of another package
            raise ModelError(
                f"the installed method '{entry.name}' ({entry.value}) does not load: {error}; expected a method class"
            ) from error
    return methods


def registered_name(kind: type[Method]) -> str | None:
    """The name under which a method is registered; None when it is not.

    Raises:
        ModelError: as for `available_methods`.
    """
    methods = BUILT_IN if kind in BUILT_IN.values() else available_methods()
    return next((name for name, one in methods.items() if one is kind), None)


def used_access(name: str, settings: Mapping[str, object]) -> UsedAccess | None:
    """What a method that is known by its name and settings read of the data that remain; None if not installed here.

    Raises:
        ModelError: as for `available_methods`, where the method is not a built-in one.
    """
    kind = BUILT_IN.get(name) or available_methods().get(name)
    return None if kind is None else access_with(kind, settings)


__all__ = [
    "AAMU",
    "AMUN",
    "BUILT_IN",
    "OEU",
    "QMUL",
    "SCRUB",
    "Access",
    "BadTeacher",
    "BoundaryExpand",
    "BoundaryShrink",
    "Calibrated",
    "CalibratedHoldout",
    "CoUn",
    "Counted",
    "FiCABU",
    "FineTune",
    "GradientAscent",
    "GradientDifference",
    "Influence",
    "JiT",
    "L1Sparse",
    "LoTUS",
    "MUMis",
    "MUNBa",
    "Maskable",
    "Masked",
    "Method",
    "NoT",
    "ProjectedGradient",
    "ProxyMatching",
    "RandomLabel",
    "ReGUn",
    "Retrain",
    "SFRon",
    "SalUn",
    "SelectiveDampening",
    "UGradSL",
    "UsedAccess",
    "access_of",
    "access_with",
    "available_methods",
    "registered_name",
    "run_method",
    "used_access",
]
