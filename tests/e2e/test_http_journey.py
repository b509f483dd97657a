"""The main job through HTTP alone: log in, token, spawn by API, every cell of the notebook.

And a package of the user's own, in the kernel and in a job.
"""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.wheels import make_wheel

from .client import START_SAYS, HubClient

JOURNEYS = [
    ("tensorflow-2.21.0-notebook-cpu", "quickstart.ipynb", ["Hello TensorFlow", "test accuracy", "Succeeded"]),
    ("tensorflow-1.8.0-notebook-cpu", "tensorflow-1.8.ipynb", ["Hello TensorFlow", "Succeeded"]),
]


async def test_every_cell_of_the_notebook(product, unavailable_images, tmp_path):
    """Of TensorFlow 1.8: `test_browser.py` runs those of 2.21."""
    image, notebook, words = JOURNEYS[1]
    if image in unavailable_images:
        pytest.skip(f"{image} cannot run on this machine: {unavailable_images[image]}")
    async with HubClient(product.hub) as client:
        await client.make_token()
        try:
            messages = await client.spawn({"image": image})
            for sentence in START_SAYS:
                assert sentence in "\n".join(messages)
            shown = await run_notebook(client, f"examples/{notebook}")
            for word in words:
                assert word in shown
            await use_own_package(client, image, tmp_path)
        finally:
            await client.stop_server()


async def use_own_package(client: HubClient, image: str, folder: Path) -> None:
    """Installs a package from a cell, and imports it in the kernel and in a job."""
    wheel = make_wheel(folder, "mine")
    content = {"type": "file", "format": "base64", "content": base64.b64encode(wheel.read_bytes()).decode()}
    status, answer = await client.server("PUT", f"/api/contents/{wheel.name}", json=content)
    assert status in (200, 201), answer
    async with client.kernel() as kernel:
        await kernel.run(f"%pip install --no-index --force-reinstall ~/{wheel.name}")
        shown = await kernel.run("import mine; mine.main(); print(mine.__file__)")
        assert "mine 1.0 says hello" in shown
        assert f"/.kf-packages/{image}/python" in shown
        await kernel.run("%load_ext kf_spawner.notebook")
        shown = await kernel.run("%%tfjob packages --replace --cpu 100m\nimport mine\nmine.main()")
        assert "mine 1.0 says hello" in shown


async def run_notebook(client: HubClient, path: str) -> str:
    """Runs every code cell, top to bottom, and returns all that they showed."""
    return "\n".join([shown async for _, shown in cells(client, path)])


async def cells(client: HubClient, path: str) -> AsyncIterator[tuple[str, str]]:
    """Runs the code cells of a notebook, top to bottom: the source of each, and what it showed."""
    status, document = await client.server("GET", f"/api/contents/{path}")
    assert status == 200, document
    async with client.kernel() as kernel:
        for cell in document["content"]["cells"]:
            if cell["cell_type"] == "code":
                yield cell["source"], await kernel.run(cell["source"])
