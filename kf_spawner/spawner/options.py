"""A user's options for a server -> what the server gets, or every problem of the options. Pure.

Owns the names, defaults and rules of the options. `validate` reads those of the form, of the hub's REST API and of
the last start. Every problem names the field, the value and the remedy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from kf_spawner.k8s import quantities
from kf_spawner.wrong_input import FieldError, WrongInput, not_an_amount, shown

from .catalogue import Image
from .cluster_facts import ClusterFacts

OWN_HOME = "own"
NO_HOME = "none"
OWN_PACKAGES = "own"
NO_PACKAGES = "none"
_SMALLEST_HOME = Fraction(100 * 1024**2)  # bytes; less is a forgotten unit


@dataclass(frozen=True)
class Limits:
    """What a deployment allows, and gives where nothing is asked for. Quantities; an empty maximum is none.

    The defaults here are those of the traits in `settings`.
    """

    default_image: str = ""
    cpu: str = "500m"
    min_cpu: str = "10m"
    max_cpu: str = ""
    memory: str = "1Gi"
    min_memory: str = "256Mi"
    max_memory: str = ""
    max_gpus: int = 16
    home: bool = True
    """Whether there are home volumes at all."""
    home_size: str = "10Gi"
    max_home_size: str = ""
    storage_class: str = ""
    extra_claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Options:
    """Validated. `home_size` is the size for a claim that has to be made."""

    image: Image
    cpu: str
    memory: str
    gpus: int
    home: bool
    home_size: str
    packages: bool
    """Whether kernels and terminals use what the user has installed."""


T = TypeVar("T")
FIELDS = ("image", "cpu", "memory", "gpus", "home", "home_size", "packages")


class _Refused(Exception):
    pass


def from_form(form: Mapping[str, list[str]]) -> dict[str, object]:
    """Options of a submitted form. One that came more than once keeps all its values, for `validate` to refuse."""
    options: dict[str, object] = {name: values[0] if len(values) == 1 else values for name, values in form.items()}
    if options.get("home") == NO_HOME:
        options.pop("home_size", None)  # its field is still in the form, greyed out
    return options


def default_image(catalogue: tuple[Image, ...], facts: ClusterFacts, limits: Limits) -> Image | None:
    """The image that is chosen where none is asked for: the deployment's, else the first that can run."""
    usable = [image for image in catalogue if facts.why_unavailable(image) is None]
    configured = [image for image in usable if limits.default_image in (image.name, image.reference)]
    return next(iter(configured or usable), None)


def validate(
    asked: Mapping[str, object],
    *,
    catalogue: tuple[Image, ...],
    facts: ClusterFacts,
    limits: Limits,
    home_claim: str,
) -> Options:
    """The options that `asked` stands for; what is missing or None gets its default.

    `home_claim` is the name of the user's home claim, whether it exists or not.
    Raises WrongInput with every problem, in the order of the form.
    """
    errors = [
        FieldError(str(name)[:60], f"there is no such option; there are {', '.join(FIELDS)}")
        for name in asked
        if name not in FIELDS
    ]

    def read(field: str, rule: Callable[[object], T]) -> T | None:
        value = asked.get(field)
        try:
            if isinstance(value, list):
                raise _Refused("came more than once, or is a list: give one value")
            return rule(value)
        except _Refused as refused:
            errors.append(FieldError(field, str(refused)))
            return None

    image = read("image", lambda value: _image(value, catalogue, facts, limits))
    cpu = read("cpu", lambda value: _cpu(value, facts, limits))
    memory = read("memory", lambda value: _memory(value, facts, limits))
    gpus = read("gpus", lambda value: _gpus(value, image, facts, limits))
    home = read("home", lambda value: _home(value, facts, limits, home_claim))
    home_size = read("home_size", lambda value: _home_size(value, home, facts, limits, home_claim))
    packages = read("packages", _packages)
    errors += _missing_claims(facts, limits)
    if errors or image is None or cpu is None or memory is None or home_size is None:
        raise WrongInput(errors)
    return Options(image, cpu, memory, gpus or 0, bool(home), home_size, bool(packages))


def _image(value: object, catalogue: tuple[Image, ...], facts: ClusterFacts, limits: Limits) -> Image:
    if value is None:
        chosen = default_image(catalogue, facts, limits)
        if chosen is None:
            reasons = "; ".join(f"{image.name}: {facts.why_unavailable(image)}" for image in catalogue)
            raise _Refused(f"no image can run here ({reasons or 'the catalogue is empty'}): ask an administrator")
        return chosen
    for image in catalogue:
        if value in (image.name, image.reference):
            reason = facts.why_unavailable(image)
            if reason:
                raise _Refused(f"{image.name} cannot run here: {reason}. Choose another image")
            return image
    raise _Refused(f"{shown(value)} is not in the catalogue: choose one of {', '.join(i.name for i in catalogue)}")


def _cpu(value: object, facts: ClusterFacts, limits: Limits) -> str:
    text, number = _quantity(value, limits.cpu, "500m (half a core) or 2")
    _check_range(text, number, limits.min_cpu, limits.max_cpu, facts.cpu, quantities.cores)
    return text


def _memory(value: object, facts: ClusterFacts, limits: Limits) -> str:
    text, number = _quantity(value, limits.memory, "512Mi or 2Gi")
    _check_range(text, number, limits.min_memory, limits.max_memory, facts.memory, quantities.size)
    return text


def _gpus(value: object, image: Image | None, facts: ClusterFacts, limits: Limits) -> int:
    text = "0" if value is None else str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise _Refused(f"{shown(value)} is not a number of GPUs: give a whole number from 0 to {limits.max_gpus}")
    count = int(text)
    if count == 0:
        return 0
    if count > limits.max_gpus:
        raise _Refused(f"{count} is more than the {limits.max_gpus} that a server may have: ask for fewer")
    if image is not None and not image.gpu:
        raise _Refused(f"{image.name} cannot use a GPU: choose a GPU image, or 0 GPUs")
    if not facts.grows and count > facts.gpus_free:
        if not facts.gpus:
            raise _Refused("no node of this cluster has an NVIDIA GPU: choose 0")
        raise _Refused(
            f"{count} on one node is too much now, {facts.gpus_free} of {facts.gpus} are free: "
            "ask for fewer or wait for a server to stop"
        )
    return count


def _home(value: object, facts: ClusterFacts, limits: Limits, claim: str) -> bool:
    if value is None:
        return limits.home
    if value not in (OWN_HOME, NO_HOME):
        raise _Refused(f"{shown(value)} is not a choice: give {OWN_HOME!r} or {NO_HOME!r}")
    if value == NO_HOME:
        return False
    if not limits.home:
        raise _Refused(f"this hub has no home volumes: choose {NO_HOME!r}")
    return True


def _home_size(value: object, home: bool | None, facts: ClusterFacts, limits: Limits, claim: str) -> str:
    text, number = _quantity(value, limits.home_size, "10Gi")
    if not home:
        if value is not None and home is not None:
            raise _Refused("there is no home volume to have this size: leave it out, or choose a home volume")
        return text
    if claim in facts.claims:
        existing = facts.claims[claim]
        if value is not None and number > quantities.parse(existing):
            raise _Refused(
                f"your home volume {claim} exists and has {existing}, not {text}: "
                "leave the size out to use it as it is"
            )
        return existing
    if number < _SMALLEST_HOME:
        raise _Refused(f"{text} is {int(number)} bytes, too small for a home: write a unit, for example {text}Gi")
    if limits.max_home_size and number > quantities.parse(limits.max_home_size):
        raise _Refused(f"{text} is more than the {limits.max_home_size} that a home volume may have: ask for less")
    _check_storage(facts, limits)
    return text


def _packages(value: object) -> bool:
    if value not in (None, OWN_PACKAGES, NO_PACKAGES):
        raise _Refused(f"{shown(value)} is not a choice: give {OWN_PACKAGES!r} or {NO_PACKAGES!r}")
    return value != NO_PACKAGES


def _check_storage(facts: ClusterFacts, limits: Limits) -> None:
    """A claim that no class provides would stay pending forever."""
    if limits.storage_class and limits.storage_class not in facts.storage_classes:
        raise _Refused(
            f"the storage class {limits.storage_class} that makes home volumes does not exist: "
            "choose no home volume, or ask an administrator"
        )
    if not limits.storage_class and facts.default_class is None:
        raise _Refused(
            "this cluster has no default storage class that could make a home volume: "
            "choose no home volume, or ask an administrator"
        )


def _missing_claims(facts: ClusterFacts, limits: Limits) -> list[FieldError]:
    return [
        FieldError(
            "",
            f"the volume {claim} that this hub mounts into every server does not exist in your namespace: "
            "ask an administrator to make the claim or to take it out of KF_PVC_LIST",
        )
        for claim in limits.extra_claims
        if claim not in facts.claims
    ]


def _quantity(value: object, default: str, examples: str) -> tuple[str, Fraction]:
    text = default if value is None else str(value).strip()
    try:
        if isinstance(value, bool) or not isinstance(value, (str, int, float, type(None))):
            raise ValueError
        number = quantities.parse(text)
    except ValueError:
        raise _Refused(not_an_amount(value, examples)) from None
    if number > quantities.LARGEST:
        raise _Refused(f"{shown(value)} is more than Kubernetes can count; write an amount such as {examples}")
    return text, number


def _check_range(
    text: str, number: Fraction, least: str, most: str, node: Fraction | None, words: Callable[[Fraction], str]
) -> None:
    if number < quantities.parse(least):
        raise _Refused(f"{text} is less than a server needs: ask for at least {least}")
    if most and number > quantities.parse(most):
        raise _Refused(f"{text} is more than a server may have: ask for at most {most}")
    if node is not None and number > node:
        raise _Refused(f"{text} is more than any node of this cluster has: ask for at most {words(node)}")
