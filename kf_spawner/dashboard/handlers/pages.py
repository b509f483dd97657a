"""The pages: one document for every address, and the files that it needs."""

from typing import Any

from tornado import web

from kf_spawner.workloads.errors import RequestError

from .login import Authenticated, Secured


class Page(Authenticated):
    """The hub's login sends users back here."""

    async def get(self) -> None:
        try:
            caller = await self.identify()
        except RequestError as error:
            if error.status == 401:
                self.redirect(self.get_login_url())
                return
            self.set_status(error.status)
            self._show("error.html", title="The dashboard cannot be shown", message=error.message)
            return
        self.xsrf_token  # noqa: B018 - sets the cookie
        self.set_header("Cache-Control", "no-store")
        self._show("index.html", user=caller.name, admin=caller.admin)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self._show("error.html", title="The dashboard cannot be shown", message=self._reason)

    def _show(self, template: str, **values: Any) -> None:
        self.render(template, **values, **self.settings["kf_page"])


class Static(Secured, web.StaticFileHandler):
    """Public files, without users' data. Browsers check each time whether theirs is the newest."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "no-cache")
