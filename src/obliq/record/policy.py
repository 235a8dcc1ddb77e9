"""The rules of a record, which its first entry states."""

from dataclasses import dataclass, field

from obliq.errors import RecordError
from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue
from obliq.record.values import require_sha256, require_text

WAYS_TO_RETRAIN = ("function", "files", "recipe", "start")


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """How references are retrained where the recipe of the original does not do it.

    Attributes:
        way: `function` of the user's; `files` with networks that the user retrains for each batch; a `recipe` of Obliq,
            from random weights; or the recipe of the original, from the weights that its training `start`ed with.
        function: `module:function`; empty for the other ways.
        recipe: fields of the recipe; None for the other ways.
    """

    way: str
    function: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    recipe: dict[str, SettingValue] | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if self.way not in WAYS_TO_RETRAIN:
            raise RecordError(f"way to retrain {self.way[:40]!r}; expected {', '.join(WAYS_TO_RETRAIN)}")
        if (bool(self.function), self.recipe is not None) != (self.way == "function", self.way == "recipe"):
            raise RecordError(
                f"way to retrain {self.way}; expected a function or a recipe with the way of this name, and no other"
            )
        if self.function:
            require_text(function=self.function)

    @property
    def words(self) -> str:
        """The way in words."""
        if self.recipe is not None:
            return f"by a recipe of Obliq, for {self.recipe.get('epochs')} epochs"
        return {
            "function": f"by {self.function}",
            "files": "by their user, as files for each batch",
            "start": "from the weights that the training of the original began with",
        }[self.way]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of a record, which hold for all its cases.

    Attributes:
        approvals: how many different people must approve a request before it is answered.
        devices: how many devices run the network; 0 where that is not known.
        references: how many retrained networks each audit compares with.
        method: the registered name of the unlearning method.
        settings: of its fields, those that are not the default.
        format: of the file that devices run: onnx or executorch.
        certificate_key: fingerprint of the key that signs a certificate for every case; empty for no certificates.
        retraining: how references are retrained; None where the recipe of the original does it.
    """

    approvals: int = 1
    devices: int = 0
    references: int = 4
    method: str = "proxy-matching"
    settings: dict[str, SettingValue] = field(default_factory=dict)
    format: str = "onnx"
    certificate_key: str = field(default="", metadata=OMITTED_BY_DEFAULT)
    retraining: Retraining | None = field(default=None, metadata=OMITTED_BY_DEFAULT)

    def __post_init__(self) -> None:
        if self.certificate_key:
            require_sha256(certificate_key=self.certificate_key)
        for name, least, most in (("approvals", 0, 10), ("devices", 0, 2**31), ("references", 0, 64)):
            if not least <= getattr(self, name) <= most:
                raise RecordError(f"{name} {getattr(self, name)}; expected {least} to {most}")
        if self.references == 1:
            raise RecordError(
                "references 1; expected 0, or 2 to 64: one retrained network does not show how much retraining varies"
            )
        if self.retraining is not None and not self.references:
            raise RecordError(
                "a way to retrain, and references 0; expected references from 2, or no way to retrain"
            )

    @property
    def references_in_words(self) -> str:
        """How many references each audit has, and how they are retrained."""
        if self.retraining is None:
            return str(self.references)
        return f"{self.references}, retrained {self.retraining.words}"
