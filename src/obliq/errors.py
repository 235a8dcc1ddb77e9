"""The errors that a user can cause: one line that carries what was given and what was expected."""


class ObliqError(Exception):
    """Something that the caller can put right; the message is complete on its own, in one line."""


class DataError(ObliqError):
    """Data, a split or a request that cannot be used as given."""


class ModelError(ObliqError):
    """A network, a quantization setting or a saved model that cannot be used as given."""


class AuditError(ObliqError):
    """An audit that cannot be computed from what was given."""


class PatchError(ObliqError):
    """A patch that cannot be made, read or applied to what was given."""
