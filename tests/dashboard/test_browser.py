"""The dashboard in a real Chromium, on real pods: a user's whole way with a job, who sees what, how it looks.

Pictures of every page go to KF_SCREENSHOTS when it names a folder.
"""

import contextlib
import itertools
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, Route, async_playwright, expect

from kf_spawner import dashboard as room
from kf_spawner.kube import NotFound
from kf_spawner.tfjob.names import TFJOBS
from tests.dashboard.running_dashboard import RunningDashboard
from tests.e2e.browser import ARGUMENTS, CHROMIUM, picture
from tests.fixtures.platform import PLAIN_IMAGE

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PROGRAM = (
    "import os, time; print('TF_CONFIG' in os.environ); [print('step', n) or time.sleep(0.2) for n in range(3000)]"
)
COMMAND = f'python -u -c "{PROGRAM}"'
SLOW = 90_000  # ms; a pod's first start builds the image's environment, on a machine with other work to do
LOOKS = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const shown = (element) => element.checkVisibility() && !element.closest(".unseen, .skip, :disabled");
  const faults = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !shown(element)) continue;
    const [one, other] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${element.textContent.trim().slice(0, 40)}`);
  }
  for (const input of document.querySelectorAll("input, select, textarea, button, a, pre[tabindex]")) {
    const name = input.labels?.[0] || input.ariaLabel || input.textContent.trim() || input.querySelector("img[alt]");
    if (!name) faults.push(`no label: ${input.outerHTML.slice(0, 80)}`);
  }
  const over = document.documentElement.scrollWidth - innerWidth;
  if (over > 0) faults.push(`wider than the page by ${over} px`);
  return faults;
}"""
PIECES = """async () => {
  const { LogPane } = await import("/pages/detail/log-pane.js");
  const pane = new LogPane("worker-0", { download: "", alone: true });
  document.body.append(pane.element);
  const add = (time, line, more) => pane.add({ replica: "worker-0", time, line, cursor: "", ...more });
  const drawn = () => new Promise((resolve) => setTimeout(resolve, 200));
  add("2026-01-01T00:00:01Z", "ab", { continues: true });
  await drawn();
  add("2026-01-01T00:00:01Z", "cd");
  add("2026-01-01T00:00:02Z", "ef", { continues: true });
  add("", "(the rest cannot be read)");
  await drawn();
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    assert CHROMIUM, "no Chromium is installed: apt-get install chromium"
    expect.set_options(timeout=SLOW)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@contextlib.asynccontextmanager
async def user_page(chromium: Browser, dashboard: RunningDashboard, user: str, path: str = ""):
    """The dashboard's page at `path`, which `user` comes to by way of the login.

    What scripts or the browser complain about fails the test.
    """
    view = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
    faults: list[str] = []
    async with await chromium.new_context(base_url=dashboard.address, **view) as context:
        context.set_default_timeout(SLOW)
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        await page.goto(dashboard.address + path)
        await page.get_by_label("Username").fill(user)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(dashboard.address + path)
        yield page
    assert not faults, faults


def job(name: str, namespace: str, *, suspend: bool = True, program: str = PROGRAM) -> dict:
    container = {"name": "tensorflow", "image": PLAIN_IMAGE, "command": ["python", "-u", "-c", program]}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "runPolicy": {"suspend": suspend, "cleanPodPolicy": "All"},
            "tfReplicaSpecs": {"Worker": {"replicas": 2, "template": {"spec": {"containers": [container]}}}},
        },
    }


@contextlib.asynccontextmanager
async def jobs(dashboard: RunningDashboard, *made: dict) -> AsyncIterator[None]:
    """Jobs that are there for a while: other tests want to see none of them."""
    for one in made:
        await dashboard.admin.create(TFJOBS, one)
    try:
        yield
    finally:
        for one in made:
            with contextlib.suppress(NotFound):  # a test may delete them, too
                await dashboard.admin.delete(TFJOBS, one["metadata"]["name"], one["metadata"]["namespace"])


def state(page: Page, word: str) -> Locator:
    return page.locator("main .facts").first.get_by_text(word, exact=True)


async def confirm(page: Page, label: str) -> None:
    await page.get_by_role("button", name=label, exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def test_a_users_way_with_a_job(chromium, dashboard):
    async with user_page(chromium, dashboard, "ann") as page:
        await page.goto(f"{dashboard.url}/hub/home")
        await picture(page, "dashboard-hub")
        await page.get_by_role("navigation").get_by_role("link", name="TFJobs").click()
        await expect(page.get_by_role("heading", name="No TFJobs yet")).to_be_visible()
        await picture(page, "dashboard-empty")
        others = await page.context.new_page()
        await others.goto(dashboard.address)
        await page.bring_to_front()  # a page behind another is drawn once a second

        await create_by_form(page)
        await expect(others.get_by_role("link", name="count")).to_be_visible()
        await expect(state(page, "Running")).to_be_visible()
        await expect(others.get_by_role("row", name="count").get_by_text("Running", exact=True)).to_be_visible()
        await expect(page.locator(".timeline")).to_contain_text("TFJob kf-ann/count is running.")
        await expect(page.locator("pre.code")).to_contain_text("count-worker-1.kf-ann.svc:2222")
        await picture(page, "dashboard-detail")

        await watch_logs(page)
        await scale(page)
        await confirm(page, "Suspend")
        await expect(state(page, "Suspended")).to_be_visible()
        await page.get_by_role("button", name="Resume").click()
        await expect(state(page, "Running")).to_be_visible()
        await page.get_by_role("link", name="Manifest").click()
        await expect(page.locator("pre.code")).to_contain_text("kind: TFJob")

        await page.get_by_role("button", name="Delete").click()
        await picture(page, "dashboard-delete")
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await confirm(page, "Delete")
        await expect(page).to_have_url(dashboard.address)
        await expect(page.get_by_role("heading", name="No TFJobs yet")).to_be_visible()
        await expect(others.get_by_role("heading", name="No TFJobs yet")).to_be_visible()


async def create_by_form(page: Page) -> None:
    """Wrong values first: a message is at each field, and nothing that was typed is lost, on a reload neither."""
    await page.get_by_role("link", name="New TFJob").click()
    await page.get_by_label("Name", exact=True).fill("Count!")
    await page.get_by_label("Command").fill(COMMAND)
    await page.get_by_label("Replicas", exact=True).fill("2")
    await page.get_by_label("Memory").fill("much")
    await page.get_by_role("button", name="Create").click()
    name, memory = page.get_by_label("Name", exact=True), page.get_by_label("Memory")
    await expect(name).to_be_focused()
    await expect(name).to_have_accessible_description(re.compile("'Count!' is not a valid name"))
    await expect(memory).to_have_accessible_description(re.compile("'much' is not an amount; write one such as"))
    await expect(page.get_by_label("Command")).to_have_value(COMMAND)
    await picture(page, "dashboard-wrong-value")
    await page.reload()
    await expect(page.get_by_label("Replicas", exact=True)).to_have_value("2")
    await name.fill("count")
    await memory.fill("64Mi")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="count", level=1)).to_be_visible()


async def watch_logs(page: Page) -> None:
    """Both replicas side by side and growing; paused; one alone; downloaded."""
    await page.get_by_role("link", name="Logs").click()
    logs = [page.get_by_role("log", name=f"worker-{index}") for index in range(2)]
    for log in logs:
        await expect(log).to_contain_text("True step 0 step 1 step 2", use_inner_text=True)
    await picture(page, "dashboard-logs")
    await page.get_by_role("button", name="Pause").click()
    held = await logs[0].text_content()
    follow = page.get_by_role("button", name=re.compile(r"Follow \(\d+ new lines\)"))
    await expect(follow).to_be_visible()
    assert await logs[0].text_content() == held
    await follow.click()
    await expect(logs[0]).not_to_have_text(held or "")

    await page.get_by_label("Replica").select_option("worker-1")
    await expect(logs[0]).to_have_count(0)
    await expect(logs[1]).to_contain_text("step 0\n", use_inner_text=True)
    await page.reload()
    await expect(page.get_by_label("Replica")).to_have_value("worker-1")
    async with page.expect_download() as started:
        await page.get_by_role("link", name="Download the log of worker-1").click()
    download = await started.value
    assert download.suggested_filename == "count-worker-1.log"
    assert "step 0\n" in (await download.path()).read_text()


async def scale(page: Page) -> None:
    await page.get_by_role("link", name="Overview").click()
    await page.get_by_role("button", name="Scale").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Worker").fill("-1")
    await dialog.get_by_role("button", name="Scale").click()
    await expect(dialog.get_by_label("Worker")).to_have_accessible_description(re.compile("whole number"))
    await picture(page, "dashboard-scale")
    await dialog.get_by_label("Worker").fill("3")
    await dialog.get_by_role("button", name="Scale").click()
    await expect(page.get_by_role("row", name="worker-2").get_by_text("Running")).to_be_visible()


async def test_a_long_line_of_a_log_has_no_breaks(chromium):
    """The pane alone: a line of more than 64 KiB comes in pieces."""
    static = Path(room.__file__).parent / "static"
    page = await chromium.new_page()

    async def answer(route: Route) -> None:
        path = urlsplit(route.request.url).path
        await route.fulfill(
            **({"path": static / path[1:]} if path != "/" else {"body": "", "content_type": "text/html"})
        )

    await page.route("http://pane.test/**", answer)
    await page.goto("http://pane.test/")
    await page.add_style_tag(content=".time { display: none }")
    await page.evaluate(PIECES)
    lines = await page.get_by_role("log").inner_text()
    await page.close()
    assert lines.splitlines() == ["abcd", "ef", "(the rest cannot be read)"]


async def test_users_see_their_own_jobs_and_admins_all(chromium, dashboard):
    async with jobs(dashboard, job("sums", "kf-ann"), job("products", "kf-ben")):
        async with user_page(chromium, dashboard, "ben") as page:
            await expect(page.get_by_role("link", name="products")).to_be_visible()
            await expect(page.get_by_role("link", name="sums")).to_have_count(0)
            await expect(page.get_by_label("Namespace")).to_have_count(0)
            await page.goto(f"{dashboard.address}jobs/kf-ann/sums")
            await expect(page.get_by_text("There is no job sums in kf-ann")).to_be_visible()
        async with user_page(chromium, dashboard, "admin") as page:
            await choose_among_all(page, dashboard)


async def choose_among_all(page: Page, dashboard: RunningDashboard) -> None:
    await expect(page.get_by_role("link", name="products")).to_be_visible()
    await expect(page.get_by_role("link", name="sums")).to_be_visible()
    await page.get_by_label("Namespace").select_option("kf-ann")
    await expect(page.get_by_role("link", name="products")).to_have_count(0)
    await page.reload()
    await expect(page.get_by_role("link", name="sums")).to_be_visible()
    await expect(page.get_by_role("link", name="products")).to_have_count(0)
    await page.get_by_role("button", name=re.compile("Suspended 1")).click()
    await page.get_by_label("Name", exact=True).fill("prod")
    await expect(page.get_by_text("No TFJob is Suspended and")).to_be_visible()
    await page.goto(f"{dashboard.address}jobs/kf-ben/products")
    await confirm(page, "Delete")
    await expect(page.get_by_role("link", name="products")).to_have_count(0)


async def test_who_never_started_a_server_is_told_to(chromium, dashboard):
    async with user_page(chromium, dashboard, "newcomer") as page:
        await page.get_by_role("link", name="Start with a small example").click()
        await expect(page.get_by_role("link", name="Start a server once")).to_be_visible()
        await page.get_by_role("button", name="Create").click()
        await expect(page.get_by_role("alert").get_by_text("start a notebook server once")).to_be_visible()
        await expect(page.get_by_label("Name", exact=True)).to_have_value("hello")


async def test_a_form_becomes_a_manifest(chromium, dashboard):
    """Its faults are said at the text, which stays."""
    async with user_page(chromium, dashboard, "ben", "new") as page:
        await page.get_by_label("Name", exact=True).fill("sketch")
        await page.get_by_role("button", name="Add a variable").click()
        await expect(page.get_by_role("textbox", name="Variable")).to_be_focused()
        await page.keyboard.type("RATE")
        await page.get_by_label("Value").fill("0.1")
        await page.get_by_role("button", name="Add a replica type").click()
        await page.get_by_label("Type").last.select_option("Chief")
        await page.get_by_role("button", name="Show as manifest").click()
        text = page.get_by_role("textbox", name="Manifest")
        await expect(text).to_be_focused()
        manifest = await text.input_value()
        assert "Chief:" in manifest, manifest
        assert manifest.count("name: RATE") == 2, manifest
        wrong = manifest.replace("cleanPodPolicy: Running", "cleanPodPolicy: Sometimes")
        assert wrong != manifest
        await text.fill(wrong)
        await page.get_by_role("button", name="Create").click()
        await expect(text).to_have_accessible_description(re.compile("'Sometimes'; use one of"))
        await text.fill(manifest.replace("cleanPodPolicy: Running", "cleanPodPolicy: All\n    suspend: true"))
        await page.get_by_role("button", name="Create").click()
        await expect(state(page, "Suspended")).to_be_visible()
        await expect(page.get_by_role("row", name="chief-0")).to_be_visible()
        await confirm(page, "Delete")


async def test_says_when_it_is_out_of_touch_and_comes_back(chromium, dashboard):
    async with user_page(chromium, dashboard, "ben") as page:
        await page.route("**/api/watch*", lambda route: route.abort())
        await page.reload()
        await expect(
            page.get_by_text("The dashboard does not answer: check that it runs. Trying again…")
        ).to_be_visible()
        await expect(page.get_by_label("Name", exact=True)).to_be_hidden()  # there is nothing yet to choose from
        await page.unroute_all()
        await expect(page.locator("#connection")).to_be_hidden()
        await expect(page.locator("main .empty, main tbody tr").first).to_be_visible()


async def test_logs_that_went_with_their_pods_are_not_waited_for(chromium, dashboard):
    async with (
        jobs(dashboard, job("short", "kf-ben", suspend=False, program="print(1)")),
        user_page(chromium, dashboard, "ben", "jobs/kf-ben/short/logs") as page,
    ):
        await expect(state(page, "Succeeded")).to_be_visible()
        await page.reload()
        await expect(page.get_by_text("No pod").first).to_be_visible()
        await expect(page.get_by_role("log").first).to_have_attribute("data-empty", re.compile("its log with it"))
        await expect(page.get_by_role("link", name="Download")).to_have_count(0)
        await expect(page.get_by_role("button", name="Pause")).to_be_hidden()
        await page.get_by_role("link", name="Overview").click()
        await expect(page.get_by_text("None: the replica has no pod now")).to_be_visible()


async def test_can_be_read_at_both_widths_and_in_both_themes(chromium, dashboard):
    """Enough contrast, a label on everything, nothing wider than the page."""
    here = "jobs/kf-admin/looks"
    async with (
        jobs(dashboard, job("looks", "kf-admin", suspend=False)),
        user_page(chromium, dashboard, "admin", f"{here}/logs") as page,
    ):
        await expect(page.get_by_role("log", name="worker-1")).to_contain_text("step 1")
        for title, path, shown in (
            ("list", "", "main table"),
            ("detail", here, ".timeline"),
            ("logs", f"{here}/logs", "pre span"),
            ("manifest", f"{here}/manifest", "pre.code"),
            ("new", "new?example=1", "button.primary"),
        ):
            await page.goto(dashboard.address + path)
            await expect(page.locator(shown).first).to_be_visible()
            for scheme, width in itertools.product(("light", "dark"), (1280, 400)):
                await page.emulate_media(color_scheme=scheme)
                await page.set_viewport_size({"width": width, "height": 900})
                faults = await page.evaluate(LOOKS)
                await picture(page, f"dashboard-{title}-{width}-{scheme}")
                assert not faults, (title, width, scheme, faults)
