"""The main job in a real Chromium, wherever the product runs: its pages as a person goes through them.

Pictures of every page go to KF_SCREENSHOTS when it names a folder.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Page, Response, TimeoutError, async_playwright, expect

from .client import START_SAYS, HubClient

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SPAWN_TIMEOUT = 600_000  # ms; a first start builds the image's environment
PATIENCE = 60_000  # ms, for all that is not said otherwise: a machine may have other work
CELLS_TIMEOUT = 600.0  # s
SAVE_TIMEOUT = 10_000  # ms, until the keys are pressed again
# Hands each line that the page of a start gets to kfProgress: when the server answers, the page and they are gone.
WATCH_PROGRESS = """
new MutationObserver((records) => {
  for (const record of records)
    if (record.target.id === "progress-log")
      for (const line of record.addedNodes) kfProgress(line.textContent);
}).observe(document, { childList: true, subtree: true });
"""

expect.set_options(timeout=PATIENCE)


@contextlib.asynccontextmanager
async def open_page(hub: str) -> AsyncIterator[Page]:
    """A page of a browser of its own. `hub` is the hub's address, without a slash at its end."""
    assert CHROMIUM, "no Chromium is installed: apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = await browser.new_context(viewport={"width": 1280, "height": 900}, base_url=f"{hub}/")
        yield await context.new_page()
        await browser.close()


async def picture(page: Page, name: str) -> None:
    if folder := os.environ.get("KF_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=f"{folder}/{name}.png", full_page=True)


async def log_in(page: Page, person: HubClient) -> None:
    await page.goto(f"{person.url}/hub")
    await page.get_by_label("Username").fill(person.user)
    if person.password:
        await page.get_by_label("Password").fill(person.password)
    await page.get_by_role("button", name="Sign in").click()


async def main_job(page: Page, person: HubClient) -> None:
    """Log in, pick, start, watch, JupyterLab, every cell of the quickstart, stop, log out.

    `person` says who and where; what JupyterLab has saved is read with its token.
    """
    progress: list[str] = []
    await page.expose_function("kfProgress", lambda line: progress.append(line))
    await page.add_init_script(WATCH_PROGRESS)
    await page.goto(f"{person.url}/hub")
    await picture(page, "1-login")
    await log_in(page, person)
    await page.wait_for_url("**/hub/spawn**")
    await expect(page.get_by_role("radio", name="2.21.0").first).to_be_visible()
    await picture(page, "2-form")

    await page.locator("#memory").fill("much")
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#memory-problem")).to_contain_text("'much' is not an amount")
    await picture(page, "3-wrong-value")

    await page.locator("input[name=image][value='tensorflow-2.21.0-notebook-cpu']").check()
    await page.locator("#memory").fill("1Gi")
    await page.get_by_role("button", name="Start").click()
    await page.wait_for_url("**/hub/spawn-pending/**")
    await expect(page.locator("#progress-log li").nth(2)).to_be_visible()
    await picture(page, "4-progress")
    await page.wait_for_url(f"**/user/{person.user}/lab**", timeout=SPAWN_TIMEOUT)
    await expect(page.locator("#jp-main-dock-panel")).to_be_visible()
    for sentence in START_SAYS:
        assert sentence in "\n".join(progress), progress
    await picture(page, "5-lab")

    outputs = await run_quickstart(page, person)
    for words in ("Hello TensorFlow", "Succeeded", "test accuracy"):
        assert words in outputs, outputs[-3000:]

    await page.goto(f"{person.url}/hub/home")
    await picture(page, "7-home")
    await page.locator("#stop").click()
    await expect(page.locator("#start")).to_contain_text("Start My Server")
    await page.locator("#logout").click()
    await expect(page.get_by_label("Username")).to_be_visible()


async def run_quickstart(page: Page, person: HubClient) -> str:
    """Runs all cells by the menu, saves, and returns the outputs as the file holds them."""
    await page.goto(f"{person.url}/user/{person.user}/lab/tree/examples/quickstart.ipynb?reset")
    await expect(page.locator(".jp-Notebook")).to_be_visible()
    # Cells that are run before the kernel is there are forgotten.
    await expect(page.get_by_text("| Idle")).to_be_visible()
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    await page.get_by_text("Run All Cells", exact=True).click()
    await person.make_token()
    cells = await saved_cells(page, person)
    outputs = [out for cell in cells for out in cell["outputs"]]
    assert not [out for out in outputs if out["output_type"] == "error"], outputs
    # What a person sees at the end, not only what the file says.
    await page.locator(".jp-Notebook").press("Control+Home")
    await page.locator(".jp-Notebook").press("Control+End")
    answer = page.get_by_text("of 100 right").last
    await expect(answer).to_be_visible()
    await answer.scroll_into_view_if_needed()
    await picture(page, "6-quickstart")
    return json.dumps(outputs)


async def save(page: Page) -> Response:
    """Presses the keys until JupyterLab saves: it ignores them while its last save goes on."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with page.expect_response(_is_a_save, timeout=SAVE_TIMEOUT) as answer:
                await page.keyboard.press("Control+s")
            return await answer.value


async def saved_cells(page: Page, person: HubClient) -> list[dict]:
    """The code cells as JupyterLab saves them, once the last one has run or one has failed."""
    async with asyncio.timeout(CELLS_TIMEOUT):
        while True:
            # One after the other: the server takes a file that is read while it is written for a broken one.
            assert (await save(page)).ok
            status, document = await person.server("GET", "/api/contents/examples/quickstart.ipynb")
            assert status == 200, document
            cells = [cell for cell in document["content"]["cells"] if cell["cell_type"] == "code"]
            failed = any(out["output_type"] == "error" for cell in cells for out in cell["outputs"])
            if failed or cells[-1]["execution_count"]:
                return cells
            await asyncio.sleep(2)


def _is_a_save(answer: Response) -> bool:
    return answer.request.method == "PUT" and "/api/contents/examples/quickstart.ipynb" in answer.url
