"""A method from its registered name and settings as text, as rules of a record and options state them."""

import json
from collections.abc import Mapping, Sequence

from obliq.errors import ModelError, ObliqError
from obliq.io.known_names import unknown_name
from obliq.io.strict_json import SettingValue, decode, encode
from obliq.methods import Method, available_methods


def parse_settings(texts: Sequence[str]) -> dict[str, SettingValue]:
    """Settings from texts such as `epochs=8`.

    Raises:
        ModelError: for another form.
    """
    found: dict[str, SettingValue] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name.strip() or not equals:
            raise ModelError(f"setting {text!r}; expected NAME=VALUE, such as epochs=8")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        if isinstance(read, dict):
            raise ModelError(
                f"setting {name.strip()} is an object, which a record cannot keep; expected a number or text"
            )
        found[name.strip().replace("-", "_")] = read
    return found


def method_of(name: str, settings: Mapping[str, SettingValue]) -> Method:
    """A method with these settings, and its defaults for the others.

    Raises:
        ModelError: for an unknown name, and for a setting that the method does not have or accept.
    """
    kinds = available_methods()
    if name not in kinds:
        raise ModelError(f"{unknown_name('method', name, kinds)} expected one of {', '.join(kinds)}")
    try:
        fields = encode(kinds[name]())
        if unknown := sorted(set(settings) - set(fields)):
            raise ObliqError(f"unknown setting {unknown[0]!r}; expected {', '.join(fields)}")
        method: Method = decode(kinds[name], {**fields, **settings}, "settings")
    except (ObliqError, TypeError) as error:
        raise ModelError(f"method {name}: {error}") from error
    return method
