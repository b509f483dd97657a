"""Kubernetes quantities: `500m`, `1Gi`, `2`. Pure.

Format: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

import re
from decimal import Decimal

_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_FACTORS = _BINARY | {unit: Decimal(10) ** power for unit, power in _POWERS.items()}
_OVERFLOW = 2**63
_FORMAT = re.compile(
    r"([+-]?)([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:[eE]([+-]?[0-9]{1,2})|([KMGTPE]i|[numkMGTPE]?))"
)


def parse(text: str) -> Decimal:
    """The number a quantity stands for: cores or bytes. Raises ValueError where the API server would refuse it."""
    match = _FORMAT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    sign, digits, exponent, unit = match.groups()
    number = Decimal(digits) * (Decimal(10) ** int(exponent) if exponent else _FACTORS[unit or ""])
    if number >= _OVERFLOW:
        raise ValueError(f"{text!r} is too large")
    return -number if sign == "-" else number


def cores(number: Decimal) -> str:
    """CPU in words: `500m`, `2`."""
    return str(int(number)) if number == int(number) else f"{int(number * 1000)}m"


def size(number: Decimal | int) -> str:
    """Bytes in words, in the largest binary unit that says them to a tenth: `1Gi`, `1.5Gi`, `300Mi`."""
    value = Decimal(number)
    for unit, factor in reversed(_BINARY.items()):
        if value >= factor:
            return f"{(value / factor).quantize(Decimal('0.1')).normalize():f}{unit}"
    return f"{int(value)}"
