"""Pages of the hub that are ours instead of JupyterHub's."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_address_without_a_page_and_an_error_are_told_in_words(browser):
    status, page = await browser.get("/hub/nothing-here")
    assert status == 404
    assert "There is no such page" in page
    status, page = await browser.get("/hub/oauth_login")  # of a login that this hub does not have
    assert status == 404
    assert "None" not in page
    status, page = await browser.get("/hub/spawn/nobody")
    assert status in (403, 404)
    assert "None" not in page
