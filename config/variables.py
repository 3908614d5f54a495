"""What a setting is: its variable, its default, how it is checked, and what it does, all in one place."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import Field, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from environs import Env, ValidationError, validate

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Where a field of Settings keeps what this page makes.
_KEPT_AS = "setting"


@dataclass(frozen=True)
class Variable:
    """One variable of the environment.

    Attributes:
        name: Empty where it is the field's own, upper case.
        kind: What may be said, in words.
        default: What holds where nothing is said, in words.
        about: What it does, in a sentence or two.
        read: Gives the value, or leaves a fault with the reader (environs gathers them).
    """

    name: str
    kind: str
    default: str
    about: str
    read: Callable[[Env, str], Any]


@dataclass(frozen=True)
class Setting:
    """A field of ``Settings``: one variable, or several whose values are kept together by a short name."""

    variables: Mapping[str, Variable]
    single: bool = True
    # The value as the program wants it; called only when no variable has a fault.
    made: Callable[[Any], Any] = lambda value: value

    def named(self, field_name: str) -> dict[str, Variable]:
        """Its variables by their names in the environment."""
        return {variable.name or field_name.upper(): variable for variable in self.variables.values()}

    def read(self, env: Env, field_name: str) -> Any:
        """What the environment says; for several variables a dictionary."""
        found = {
            key: variable.read(env, variable.name or field_name.upper()) for key, variable in self.variables.items()
        }
        return found[""] if self.single else found


def setting_of(field: Field[Any]) -> Setting | None:
    """The setting behind a field; None for one that follows from others."""
    kept: Setting | None = field.metadata.get(_KEPT_AS)
    return kept


def number(default: int, about: str, *, low: int = 1, high: int | None = None, name: str = "") -> dict[str, Setting]:
    """A whole number from ``low`` to ``high``."""
    kind = f"whole number from {low} to {high}" if high else f"whole number, at least {low}"
    check = validate.Range(low, high)
    return _one(Variable(name, kind, str(default), about, lambda env, key: env.int(key, default, validate=check)))


def decimal(default: float, about: str, *, low: float, high: float) -> dict[str, Setting]:
    """A number with a point."""
    check = validate.Range(low, high)
    kind = f"number from {low:g} to {high:g}"
    return _one(Variable("", kind, f"{default:g}", about, lambda env, key: env.float(key, default, validate=check)))


def money(default: str, about: str) -> dict[str, Setting]:
    """An amount of money, exact: up to six places after the point."""

    def check(said: Decimal) -> None:
        if not said.is_finite() or not 0 <= said <= 1000 or said != said.quantize(Decimal("0.000001")):
            raise ValidationError("expected a number from 0 to 1000 with at most six places after the point")

    kind = "number from 0 to 1000, up to six places after the point"
    return _one(Variable("", kind, default, about, lambda env, key: env.decimal(key, Decimal(default), validate=check)))


def switch(default: bool, about: str) -> dict[str, Setting]:
    """``1`` or ``0``, in any of the usual words."""
    return _one(Variable("", "`1` or `0`", str(int(default)), about, lambda env, key: env.bool(key, default)))


def choice(
    default: str, values: Collection[str], about: str, *, made: Callable[[Any], Any] = str
) -> dict[str, Setting]:
    """One word of several."""
    check, kind = validate.OneOf(list(values)), _words(values)
    return _one(
        Variable("", kind, f"`{default}`", about, lambda env, key: env.str(key, default, validate=check)), made=made
    )


def several(values: Collection[str], about: str) -> dict[str, Setting]:
    """Any of these words, with commas between; none where nothing is said."""
    check, kind = validate.ContainsOnly(list(values)), f"any of {_words(values)}, with commas between"
    return _one(
        Variable("", kind, "none", about, lambda env, key: env.list(key, [], subcast=str, validate=check)),
        made=frozenset,
    )


def text(
    default: str,
    about: str,
    *,
    kind: str = "text",
    shown: str = "",
    check: Callable[[str], None] | None = None,
) -> dict[str, Setting]:
    """Any text that passes ``check``, which raises ValidationError; said to be empty, it is the default."""
    default_shown = shown or (f"`{default}`" if default else "none")

    def read(env: Env, key: str) -> Any:
        return env.str(key, default, validate=check) or default

    return _one(Variable("", kind, default_shown, about, read))


def secret(about: str, *, name: str = "", shown: str = "none", plain: bool = False) -> dict[str, Setting]:
    """A text that is nobody's business, None where nothing is said; ``plain`` allows ASCII alone."""

    def check(said: str) -> None:
        if said and not said.strip():
            raise ValidationError("it is blank")
        if plain and not (said.isascii() and said.isprintable()):
            raise ValidationError("expected plain letters, digits and signs (ASCII) only")

    return _one(Variable(name, "text, kept secret", shown, about, lambda env, key: env.str(key, None, validate=check)))


def url(schemes: Collection[str], about: str, *, default: str = "", shown: str = "") -> dict[str, Setting]:
    """An address that begins with one of the ``schemes``; said to be empty, it is the default."""
    beginnings = tuple(f"{scheme}://" for scheme in schemes)
    expected = " or ".join(f"{beginning}…" for beginning in beginnings)

    def check(said: str) -> None:
        if said and not said.startswith(beginnings):
            raise ValidationError(f"expected {expected}")

    def read(env: Env, key: str) -> Any:
        return env.str(key, default, validate=check) or default

    default_shown = shown or (f"`{default}`" if default else "none")
    return _one(Variable("", " or ".join(f"`{beginning}…`" for beginning in beginnings), default_shown, about, read))


def ports(default: str, about: str) -> dict[str, Setting]:
    """Port numbers with commas between."""

    def fault(port: str) -> str | None:
        good = port.isdecimal() and 1 <= int(port) <= 65535
        return None if good else f"{port!r} is no port from 1 to 65535"

    return _listed("ports, with commas between", default, about, fault, keep_empty=True, made=int)


def origins(default: str, about: str) -> dict[str, Setting]:
    """Origins of web pages with commas between, or ``*``."""

    def fault(origin: str) -> str | None:
        good = origin == "*" or re.fullmatch(r"https?://[\w.-]+(:\d+)?", origin)
        return None if good else f"{origin!r} is no origin (http://host:port, or * for all)"

    return _listed("origins, with commas between, or `*`", default, about, fault)


def networks(about: str, *, shown: str = "") -> dict[str, Setting]:
    """Addresses and networks with commas between; ``shown`` says what holds where nothing is said."""

    def fault(network: str) -> str | None:
        return f"{network!r} is no address or network" if _network(network) is None else None

    return _listed("addresses or networks, with commas between", "", about, fault, made=_network, shown=shown)


def hosts(about: str) -> dict[str, Setting]:
    """Hosts with commas between, each with a port, ``:*`` for any, or none."""

    def fault(host: str) -> str | None:
        good = re.fullmatch(r"[\w.-]+(:(\d+|\*))?|\[[0-9a-fA-F:]+\](:(\d+|\*))?", host)
        return None if good else f"{host!r} is no host (name, name:port or name:*)"

    return _listed("hosts, with commas between", "", about, fault)


def folders(about: str) -> dict[str, Setting]:
    """Folders with commas between; a relative one is meant from where the program is started."""

    def place(folder: str) -> Path:
        return Path(folder).expanduser().resolve()

    return _listed("folders, with commas between", "", about, lambda folder: None, made=place)


def rates(defaults: Mapping[str, int], about: Mapping[str, str]) -> dict[str, Setting]:
    """Requests a minute, one variable for each name: ``RATE_LIMIT_…``."""

    def one(name: str, default: int) -> Variable:
        variable = number(default, about[name], name=f"RATE_LIMIT_{name.upper()}")
        return variable[_KEPT_AS].variables[""]

    return {_KEPT_AS: Setting({name: one(name, default) for name, default in defaults.items()}, single=False)}


def made(setting: dict[str, Setting], by: Callable[[Any], Any]) -> dict[str, Setting]:
    """The same setting, its value turned into what the program wants."""
    return {_KEPT_AS: Setting(setting[_KEPT_AS].variables, made=by)}


def _one(variable: Variable, *, made: Callable[[Any], Any] = lambda value: value) -> dict[str, Setting]:
    return {_KEPT_AS: Setting({"": variable}, made=made)}


def _listed(
    kind: str,
    default: str,
    about: str,
    fault: Callable[[str], str | None],
    *,
    keep_empty: bool = False,
    made: Callable[[str], Any] = str,
    shown: str = "",
) -> dict[str, Setting]:
    """A list; each of its faults is told. With ``keep_empty`` an empty value is the default, an empty part a fault."""

    # What an empty value stands for.
    empty = default if keep_empty else ""

    def parts(said: str) -> list[str]:
        return [each.strip() for each in said.split(",") if keep_empty or each.strip()]

    def check(said: str) -> None:
        if faults := [sentence for each in parts(said or empty) if (sentence := fault(each))]:
            raise ValidationError(faults)

    def read(env: Env, key: str) -> Any:
        return env.str(key, default, validate=check) or empty

    def value(said: str) -> tuple[Any, ...]:
        return tuple(made(each) for each in parts(said))

    default_shown = shown or (f"`{default}`" if default else "none")
    return _one(Variable("", kind, default_shown, about, read), made=value)


def _words(values: Iterable[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _network(said: str) -> Network | None:
    try:
        return ipaddress.ip_network(said)
    except ValueError:
        return None
