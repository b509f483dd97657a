"""Kubernetes quantities, such as `500m`, `1Gi` and `2`: which texts are quantities, and which number each means.

The grammar is what the API server accepts, not only what it documents: it takes `Gi` and `.` for zero, trims spaces
and refuses `1K`. `tests/k8s/quantity_table.py` lists the facts. The CRD and the chart's schema have the same pattern.
Documented: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

_EXPONENT = "[eE][+-]?0*[0-9]{1,3}"
PATTERN = (
    r"^ *("
    rf"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|{_EXPONENT})?"
    rf"|[+-]?(\.|\.?([KMGT]i|[numkMGTPE]|{_EXPONENT}))"  # no digit at all: zero
    r"|[+-]"
    r") *$"
)
"""A quantity, as a regular expression for Python, for the API server (RE2) and for JSON schemas.

An exponent has at most three digits: with more, the API server computes for minutes. No text matches in two ways: a
search through all of them would take time with the square of the length.
"""

LONGEST = 1000
"""Longest quantity, in characters: far more than anybody writes, and little to compute with."""

LARGEST = 2**63 - 1
"""The largest number that Kubernetes counts exactly. A larger amount in binary units counts as this number."""

_PARTS = re.compile(r"([+-]?)([0-9]*(?:\.[0-9]*)?)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?[0-9]+))?")
_VALID = re.compile(PATTERN)
_BINARY = {unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = Fraction(1, 10**9)


def parse(value: object) -> Fraction:
    """The number that a quantity means: cores, bytes or a count. A JSON number is a quantity, too.

    Raises ValueError where the API server refuses it. As in Kubernetes, it is rounded up to a billionth.
    """
    match = _match(value)
    if match is None:
        raise ValueError(f"{value!r} is not a quantity")
    sign, digits, binary, decimal, exponent = match.groups()
    number = Fraction(Decimal(digits)) if any(map(str.isdigit, digits)) else Fraction(0)
    number *= Fraction(_BINARY.get(binary, 1)) * Fraction(10) ** (_POWERS.get(decimal, 0) + int(exponent or 0))
    number = -(-number // _NANO) * _NANO
    if binary:
        number = min(number, Fraction(LARGEST))
    return -number if sign == "-" else number


def is_quantity(value: object) -> bool:
    """Whether the API server accepts this as a quantity."""
    return _match(value) is not None


def is_amount(value: object) -> bool:
    """Whether it is a quantity of zero or more."""
    return is_quantity(value) and parse(value) >= 0


def is_same(one: object, other: object) -> bool:
    """Whether both are the same number, or the same text."""
    return one == other or (is_quantity(one) and is_quantity(other) and parse(one) == parse(other))


def total(quantities: Iterable[tuple[object, int]]) -> str:
    """The sum of quantities, each times its count; empty if one is not a quantity. In binary units if all are."""
    terms = list(quantities)
    if not all(is_quantity(value) for value, _ in terms):
        return ""
    amount = sum((parse(value) * times for value, times in terms), Fraction(0))
    if amount and all(_is_binary(value) for value, _ in terms):
        for unit, factor in reversed(_BINARY.items()):
            if (amount / factor).denominator == 1:
                return f"{amount / factor}{unit}"
    for unit in ("", "m", "u", "n"):
        scaled = amount / Fraction(10) ** _POWERS.get(unit, 0)
        if scaled.denominator == 1:
            return f"{scaled}{unit}"
    raise AssertionError("parse leaves nothing finer than a billionth")


def cores(number: Fraction) -> str:
    """CPU in words: `500m`, `2`."""
    return str(number) if number.denominator == 1 else f"{int(number * 1000)}m"


def size(number: Fraction | int) -> str:
    """Bytes in the largest binary unit that is exact to a tenth: `1Gi`, `1.5Gi`, `300Mi`."""
    for unit, factor in reversed(_BINARY.items()):
        if number >= factor:
            return f"{float(number / factor):.1f}".removesuffix(".0") + unit
    return str(int(number))


def _match(value: object) -> re.Match[str] | None:
    """The parts of a quantity."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str | int) and _is_long(value):
        return None
    text = str(value)
    return _PARTS.fullmatch(text.strip(" ")) if _VALID.fullmatch(text) else None


def _is_long(value: str | int) -> bool:
    """Python refuses to write a whole number of many thousand digits as text."""
    return len(value) > LONGEST if isinstance(value, str) else abs(value) >= 10**LONGEST


def _is_binary(value: object) -> bool:
    match = _match(value)
    return bool(match and match[3])
