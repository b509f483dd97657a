"""The main job in a real Chromium: log in, pick, start, watch, JupyterLab, every cell of the quickstart, log out."""

import pytest
from playwright.async_api import expect

from .browser import log_in, main_job, open_page, picture
from .client import HubClient

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def page(product):
    async with open_page(product.hub) as page:
        yield page
    async with HubClient(product.hub) as client:  # whatever came of the test, the next one finds no server
        await client.make_token()
        await client.stop_server()


async def test_main_job(product, page):
    async with HubClient(product.hub) as admin:
        await main_job(page, admin)


async def test_wrong_password_page_says_so(product, page):
    async with HubClient(product.hub, user="nobody-known") as stranger:
        await log_in(page, stranger)
    await expect(page.locator(".login_error")).to_be_visible()
    await picture(page, "8-login-refused")
