"""Kubernetes quantities as exact numbers: `100m`, `1Gi`, `2e3`. Pure.

Format: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from fractions import Fraction

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d{1,3}))?")
_BINARY = {unit: Fraction(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {
    unit: Fraction(10) ** power
    for unit, power in {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}.items()
}


def parse_quantity(text: str) -> Fraction:
    """Cores, bytes or a plain count; ValueError for what is not a quantity."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    number, binary, decimal, exponent = match.groups()
    factor = _BINARY.get(binary) or _DECIMAL.get(decimal) or Fraction(10) ** int(exponent or 0)
    return Fraction(number) * factor
