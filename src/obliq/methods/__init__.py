"""The methods of the field, one file each, by the name that the command line gives them."""

from importlib.metadata import entry_points

from obliq.errors import ModelError
from obliq.methods.amun import AMUN
from obliq.methods.bad_teacher import BadTeacher
from obliq.methods.boundary_expand import BoundaryExpand
from obliq.methods.boundary_shrink import BoundaryShrink
from obliq.methods.fine_tune import FineTune
from obliq.methods.gradient_ascent import GradientAscent
from obliq.methods.gradient_difference import GradientDifference
from obliq.methods.influence import Influence
from obliq.methods.l1_sparse import L1Sparse
from obliq.methods.lotus import LoTUS
from obliq.methods.masked import Maskable, Masked
from obliq.methods.method import Method
from obliq.methods.oeu import OEU
from obliq.methods.projected_gradient import ProjectedGradient
from obliq.methods.q_mul import QMUL
from obliq.methods.random_label import RandomLabel
from obliq.methods.retrain import Retrain
from obliq.methods.salun import SalUn
from obliq.methods.scrub import SCRUB
from obliq.methods.selective_dampening import SelectiveDampening
from obliq.methods.sfron import SFRon

BUILT_IN: dict[str, type[Method]] = {
    "oeu": OEU,
    "amun": AMUN,
    "bad-teacher": BadTeacher,
    "boundary-expand": BoundaryExpand,
    "boundary-shrink": BoundaryShrink,
    "fine-tune": FineTune,
    "gradient-ascent": GradientAscent,
    "gradient-difference": GradientDifference,
    "influence": Influence,
    "l1-sparse": L1Sparse,
    "lotus": LoTUS,
    "projected-gradient": ProjectedGradient,
    "q-mul": QMUL,
    "random-label": RandomLabel,
    "retrain": Retrain,
    "salun": SalUn,
    "scrub": SCRUB,
    "selective-dampening": SelectiveDampening,
    "sfron": SFRon,
}

ENTRY_POINTS = "obliq.methods"


def available_methods() -> dict[str, type[Method]]:
    """Built-in methods, then those of installed packages.

    Raises:
        ModelError: when an installed package takes a name that is in use, or its method does not load.
    """
    methods = dict(BUILT_IN)
    for found in entry_points(group=ENTRY_POINTS):
        if found.name in methods:
            raise ModelError(
                f"the installed method {found.value} calls itself '{found.name}'; expected a free name"
            )
        try:
            methods[found.name] = found.load()
        except Exception as error:
            raise ModelError(
                f"the installed method '{found.name}' ({found.value}) does not load: {error}"
            ) from error
    return methods


def registered_name(kind: type[Method]) -> str | None:
    """The name under which a method is registered; None when it is not.

    Raises:
        ModelError: as for `available_methods`.
    """
    methods = BUILT_IN if kind in BUILT_IN.values() else available_methods()
    return next((name for name, one in methods.items() if one is kind), None)


__all__ = [
    "AMUN",
    "BUILT_IN",
    "OEU",
    "QMUL",
    "SCRUB",
    "BadTeacher",
    "BoundaryExpand",
    "BoundaryShrink",
    "FineTune",
    "GradientAscent",
    "GradientDifference",
    "Influence",
    "L1Sparse",
    "LoTUS",
    "Maskable",
    "Masked",
    "Method",
    "ProjectedGradient",
    "RandomLabel",
    "Retrain",
    "SFRon",
    "SalUn",
    "SelectiveDampening",
    "available_methods",
    "registered_name",
]
