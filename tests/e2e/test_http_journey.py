"""The main job through HTTP alone: log in, token, spawn by API, every cell of the notebook."""

from collections.abc import AsyncIterator

import pytest

from .client import START_SAYS, HubClient

JOURNEYS = [
    ("tensorflow-2.21.0-notebook-cpu", "quickstart.ipynb", ["Hello TensorFlow", "test accuracy", "Succeeded"]),
    ("tensorflow-1.8.0-notebook-cpu", "tensorflow-1.8.ipynb", ["Hello TensorFlow", "Succeeded"]),
]


async def test_every_cell_of_the_notebook(product, unavailable_images):
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
        finally:
            await client.stop_server()


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
