"""The rules of a record, which its first entry states."""

from dataclasses import dataclass, field

from obliq.errors import RecordError
from obliq.io.strict_json import OMITTED_BY_DEFAULT, SettingValue
from obliq.record.values import require_sha256


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
    """

    approvals: int = 1
    devices: int = 0
    references: int = 4
    method: str = "proxy-matching"
    settings: dict[str, SettingValue] = field(default_factory=dict)
    format: str = "onnx"
    certificate_key: str = field(default="", metadata=OMITTED_BY_DEFAULT)

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
