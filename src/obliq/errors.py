"""The errors that a user can cause. Each message is one line: what was given, what was expected, what to do."""

from typing import Any


class ObliqError(Exception):
    """An error that the caller can correct; its message is complete on its own, in one line."""


class DataError(ObliqError):
    """Data, a split or a request that cannot be used as given."""


class ModelError(ObliqError):
    """A network, a quantization setting or a saved model that cannot be used as given."""


class GateError(ModelError):
    """An unlearned network that lost its use or did not converge.

    Attributes:
        network: the network, so that nothing is lost.
    """

    def __init__(self, message: str, network: Any) -> None:
        super().__init__(message)
        self.network = network


class AuditError(ObliqError):
    """An audit that cannot be computed from what was given."""


class PatchError(ObliqError):
    """A patch that cannot be created, read, or applied to the given network."""


class CertificateError(ObliqError):
    """A certificate that cannot be created from what was given, or that is not valid."""


class RecordError(ObliqError):
    """A record of requests that cannot be read, was changed, or does not allow what was asked for."""
