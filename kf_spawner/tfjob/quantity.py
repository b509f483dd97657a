"""Kubernetes quantities and their sums: `500m`, `1Gi`, `2`.

Format: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from collections.abc import Iterable
from fractions import Fraction

_FORMAT = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,2}))?")
_BINARY = {unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_POWERS = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_DECIMAL = {unit: Fraction(10) ** power for unit, power in _POWERS.items()}


def total(quantities: Iterable[tuple[object, int]]) -> str:
    """The sum of quantities, each so many times; empty if one of them is none. In binary units if all are."""
    parsed = [(_parse(text), times) for text, times in quantities]
    if any(number is None for (number, _), _ in parsed):
        return ""
    amount = sum((number * times for (number, _), times in parsed if number is not None), Fraction(0))
    if amount and all(is_binary for (_, is_binary), _ in parsed):
        for unit, factor in reversed(_BINARY.items()):
            if (amount / factor).denominator == 1:
                return f"{amount / factor}{unit}"
    for unit, factor in (("", Fraction(1)), ("m", _DECIMAL["m"]), ("u", _DECIMAL["u"])):
        if (amount / factor).denominator == 1:
            return f"{amount / factor}{unit}"
    return f"{-(-amount // _DECIMAL['n'])}n"


def same(one: object, other: object) -> bool:
    """Whether both say the same number."""
    numbers = _parse(one)[0], _parse(other)[0]
    return one == other or (None not in numbers and numbers[0] == numbers[1])


def is_amount(text: object) -> bool:
    """Whether it says how much of something there is to be: a quantity, and none below zero."""
    number = _parse(text)[0]
    return number is not None and number >= 0


def _parse(text: object) -> tuple[Fraction | None, bool]:
    """The number, None for what is no quantity, and whether its unit is a binary one."""
    match = _FORMAT.fullmatch(str(text))
    if match is None:
        return None, False
    digits, binary, decimal, exponent = match.groups()
    factor = _BINARY.get(binary) or _DECIMAL.get(decimal) or Fraction(10) ** int(exponent or 0)
    return Fraction(digits) * factor, bool(binary)
