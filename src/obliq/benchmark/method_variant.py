"""A method as a suite compares it: its name in tables, fields with a given value, and fields to tune."""

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from obliq.argument_types import require_field_types
from obliq.errors import ModelError, ObliqError
from obliq.io.strict_json import render_json
from obliq.methods import Access, Method, access_of


@dataclass(frozen=True, kw_only=True)
class MethodVariant:
    """A method as a suite compares it.

    Attributes:
        name: in the table.
        method_class: the method; its `search` maps the fields to tune to the values to try.
        fixed: fields with a given value, also where `search` has others.
        follows: name of another variant, whose tuned fields are taken instead of tuning.
        tried: values to try in place of the method's `search`; None for that.
    """

    name: str
    method_class: type[Method]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    follows: str | None = None
    tried: Mapping[str, tuple[Any, ...]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isprintable() or not self.name.strip():
            raise ModelError(f"a method of a suite is called {self.name!r}; expected a name in one line")
        if not dataclasses.is_dataclass(self.method_class):
            raise ModelError(
                f"method {self.name!r} is {self.method_class!r}; expected a method, which is a dataclass"
            )
        version = getattr(self.method_class, "version", None)
        if type(version) is not int or version < 1:
            raise ModelError(
                f"method {self.name!r}: {self.method_class.__name__} has version {version!r}; expected `version: "
                "ClassVar[int] = 1` in the class, raised whenever it computes something else"
            )
        if (access := access_of(self.method_class)) not in get_args(Access):
            raise ModelError(
                f"method {self.name!r}: {self.method_class.__name__} has access {access!r}; expected one of "
                f"{', '.join(map(repr, get_args(Access)))}"
            )
        for name, values in self.space.items():
            _require_values(f"method {self.name!r} tries {name}={values!r}", values)
        known = {one.name for one in dataclasses.fields(self.method_class)}
        if unknown := sorted((set(self.fixed) | set(self.space)) - known):
            raise ModelError(
                f"method {self.name!r} sets {unknown[0]!r}; expected fields of {self.method_class.__name__}: "
                f"{', '.join(sorted(known))}"
            )

    @property
    def space(self) -> Mapping[str, tuple[Any, ...]]:
        """The fields to tune, with the values to try."""
        return search_space(self.method_class) if self.tried is None else self.tried

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The value of every field that the method has without a suite, where it has one."""
        given = dataclasses.fields(self.method_class)  # type: ignore[arg-type]
        return {one.name: one.default for one in given if one.default is not dataclasses.MISSING}

    def candidates(self) -> list[dict[str, Any]]:
        """Every combination of the fields to tune, in order; one empty one where there are none."""
        if self.follows is not None:
            return [{}]
        open_fields = {name: values for name, values in self.space.items() if name not in self.fixed}
        return [
            dict(zip(open_fields, values, strict=True)) for values in itertools.product(*open_fields.values())
        ]

    def build(self, tuned: Mapping[str, Any], *, augment: bool = False) -> Method:
        """The method with tuned fields, then the fixed ones.

        Args:
            tuned: fields; those that the class does not have are ignored, as for a variant that follows another class.
            augment: whether to augment as the original's training did, where the method can.
        """
        known = {one.name for one in dataclasses.fields(self.method_class)}  # type: ignore[arg-type]
        given = {name: value for name, value in tuned.items() if name in known}
        augmented = {"augment": True} if augment and "augment" in known else {}
        try:
            method = self.method_class(**(augmented | given | dict(self.fixed)))
            require_field_types(method)
        except TypeError as error:
            raise ModelError(f"method {self.name!r}: {error}; expected fields with defaults") from error
        except ObliqError as error:
            raise ModelError(f"method {self.name!r}: {error}") from error
        return method


def search_space(method_class: type[Method]) -> Mapping[str, tuple[Any, ...]]:
    """The fields of a method to tune, with the values to try, in order; empty where there are none."""
    found: Mapping[str, tuple[Any, ...]] = getattr(method_class, "search", {})
    for name, values in found.items():
        _require_values(f"{method_class.__name__}.search[{name!r}] is {values!r}", values)
    return found


def _require_values(given: str, values: object) -> None:
    """Raise unless values to try are a tuple that `tuned.json` can hold.

    Raises:
        ModelError: beginning with what was given.
    """
    if not isinstance(values, tuple) or not values:
        raise ModelError(f"{given}; expected a tuple of values")
    try:
        render_json({"values": values})
    except ObliqError as error:
        raise ModelError(f"{given}; expected finite numbers, texts, flags and records of them") from error
