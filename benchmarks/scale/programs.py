"""kwok and the last Go training operator, built from the Go modules that `../go/` pins, into the user's cache."""

from pathlib import Path

from kf_spawner.localcluster.controlplane import build

GO = Path(__file__).resolve().parents[1] / "go"
FLAGS = ("-trimpath", "-ldflags=-s -w")

KWOK = build.Module(
    folder=GO / "kwok",
    packages={"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
    programs={"kwok": "kwok"},
    flags=FLAGS,
    title="kwok",
)
TRAINING_OPERATOR = build.Module(
    folder=GO / "training-operator",
    packages={"training-operator.v1": "github.com/kubeflow/training-operator/cmd/training-operator.v1"},
    programs={"training-operator.v1": "training-operator.v1"},
    flags=FLAGS,
    title="the Go training operator",
)
TRAINING_OPERATOR_SOURCES = "github.com/kubeflow/training-operator@v1.8.1"


async def kwok() -> Path:
    return await _program(KWOK, "kwok")


async def training_operator() -> Path:
    return await _program(TRAINING_OPERATOR, "training-operator.v1")


def training_operator_crd() -> Path:
    """The TFJob's CRD as the Go operator ships it; there once `training_operator` has been called."""
    modules = build.cache_root() / "go" / "mod"
    return modules / TRAINING_OPERATOR_SOURCES / "manifests" / "base" / "crds" / "kubeflow.org_tfjobs.yaml"


async def _program(module: build.Module, name: str) -> Path:
    built = await build.ensure(
        module, [name], cache=build.cache_root(), progress=lambda text: print(text, flush=True)
    )
    return built[name]
