"""The errors that a user can cause. Each message is one line: what was given, what was expected, what to do."""


class ObliqError(Exception):
    """An error that the caller can correct; its message is complete on its own, in one line."""


class DataError(ObliqError):
    """Data, a split or a request that cannot be used as given."""


class ModelError(ObliqError):
    """A network, a quantization setting or a saved model that cannot be used as given."""


class AuditError(ObliqError):
    """An audit that cannot be computed from what was given."""


class PatchError(ObliqError):
    """A patch that cannot be created, read, or applied to the given network."""
