"""The options form: choices, why some are not available, and errors of the last try. Pure: returns HTML."""

from collections.abc import Mapping, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, Template, select_autoescape

from kf_spawner.k8s import quantities
from kf_spawner.wrong_input import FieldError

from . import options
from .catalogue import Image
from .cluster_facts import ClusterFacts
from .diagnosis import Diagnosis
from .options import Limits


def render(
    *,
    catalogue: tuple[Image, ...],
    facts: ClusterFacts,
    limits: Limits,
    home_claim: str,
    values: Mapping[str, object],
    errors: Sequence[FieldError] = (),
    ended: Diagnosis | None = None,
) -> str:
    """The form's inside as HTML; JupyterHub puts the form element and the button around it.

    `values` are what to show as chosen (the last choice, or a refused one); what is missing shows its default.
    `ended`: why the user's last server has ended, where that was not the user's doing.
    """
    chosen = options.default_image(catalogue, facts, limits)
    shown = {
        "image": chosen.name if chosen else "",
        "cpu": limits.cpu,
        "memory": limits.memory,
        "gpus": "0",
        "home": options.OWN_HOME if limits.home else options.NO_HOME,
        "home_size": limits.home_size,
        "packages": options.OWN_PACKAGES,
        **{name: str(value) for name, value in values.items() if name in options.FIELDS and value is not None},
    }
    html: str = _template().render(
        images=[(image, facts.why_unavailable(image)) for image in catalogue],
        shown=shown,
        problems={field: [error.message for error in errors if error.field == field] for field in options.FIELDS},
        limits=limits,
        home_claim=home_claim,
        existing_size=facts.claims.get(home_claim),
        gpus=facts.gpus,
        gpus_free=facts.gpus_free,
        most_cpu=limits.max_cpu or (quantities.cores(facts.cpu) if facts.cpu else ""),
        most_memory=limits.max_memory or (quantities.size(facts.memory) if facts.memory else ""),
        ask_gpus=facts.grows or facts.gpus > 0 or shown["gpus"] != "0",
        ended=ended,
        ready=bool(facts.nodes) or facts.grows,
    )
    return html


@cache
def _template() -> Template:
    environment = Environment(loader=PackageLoader("kf_spawner.spawner"), autoescape=select_autoescape(["html"]))
    return environment.get_template("options_form.html")
