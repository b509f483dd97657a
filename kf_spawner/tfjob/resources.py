"""CPU, memory and GPUs of a container, as options and forms ask for them -> `resources` of the container. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kf_spawner.k8s.names import GPU
from kf_spawner.k8s.quantities import is_amount
from kf_spawner.wrong_input import FieldError, not_an_amount

EXAMPLES = {"cpu": "500m or 2", "memory": "512Mi or 2Gi"}
NAMES = (*EXAMPLES, "gpu")
PATHS = (
    ("cpu", "resources.requests[cpu]"),
    ("memory", "resources.requests[memory]"),
    ("memory", "resources.limits[memory]"),
    ("gpu", f"resources.limits[{GPU}]"),
)
"""What is asked for, and its paths in a container."""


def requirements(amounts: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """`resources` of a container; empty where nothing is asked for. What is absent, empty or 0 is not asked for.

    CPU is a request, which a container may exceed. Memory and GPUs are limits as well.
    """
    requests = {name: str(amounts[name]) for name in EXAMPLES if amounts.get(name)}
    limits = {"memory": requests["memory"]} if "memory" in requests else {}
    if gpus := int(amounts.get("gpu") or 0):
        limits[GPU] = str(gpus)
    return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


def errors(amounts: Mapping[str, Any], *, prefix: str = "") -> Iterator[FieldError]:
    """What is wrong with the amounts; each field is `prefix` and a name."""
    for name, example in EXAMPLES.items():
        amount = amounts.get(name)
        if amount not in (None, "") and not is_amount(amount):
            yield FieldError(f"{prefix}{name}", not_an_amount(amount, example))
    gpus = amounts.get("gpu")
    if gpus not in (None, "") and (isinstance(gpus, bool) or not re.fullmatch(r"\d{1,9}", str(gpus), re.ASCII)):
        yield FieldError(f"{prefix}gpu", f"is {gpus!r}; use a whole number, 0 or more")
