"""Which routes a proxy gets, and in which order. The proxy is a list here; tests/hub/proxy has the real one."""

from types import SimpleNamespace

from kf_spawner.hub.proxy_routes import OrderedProxy

HUB = SimpleNamespace(routespec="/", host="http://hub:8081")
OWN = {"hub": True, "url": "", "names": None}
HUBS_OWN = {"/": {"routespec": "/", "target": HUB.host, "data": OWN}}


class Told(OrderedProxy):
    """Notes what it is told."""

    def __init__(self, routes: dict, authenticator: object = None, subdomain_host: str = ""):
        app = SimpleNamespace(hub=HUB, authenticator=authenticator, subdomain_host=subdomain_host)
        super().__init__(hub=HUB, app=app, host_routing=bool(subdomain_host))
        self.routes, self.told = routes, []

    async def get_all_routes(self):
        return self.routes

    async def add_route(self, routespec, target, data):
        self.told.append((routespec, target, data))

    async def delete_route(self, routespec):
        self.told.append((routespec, None, None))


def user(name: str, *, pending: str | None = None, target: str | None = "http://10.0.0.1:8888"):
    spawner = SimpleNamespace(
        pending=pending,
        ready=bool(target) and not pending,
        server=target and SimpleNamespace(host=target),
        proxy_spec=f"/user/{name}/",
        _log_name=name,
    )
    return SimpleNamespace(name=name, spawners={"": spawner})


USERS = {
    1: user("runs"),
    2: user("looked-at", pending="check", target="http://10.0.0.2:8888"),
    3: user("never-ran", target=None),
    4: user("stops", pending="stop"),
    5: user("starts", pending="spawn"),
}
SERVICES = {
    "tfjobs": SimpleNamespace(
        name="tfjobs", server=SimpleNamespace(host="http://jobs:1"), proxy_spec="/services/tfjobs/"
    )
}


async def test_a_new_proxy_is_told_the_hubs_own_route_last():
    proxy = Told({})
    await proxy.check_routes(USERS, SERVICES)
    *others, last = proxy.told
    assert last == ("/", HUB.host, OWN)
    assert sorted((route, target) for route, target, _ in others) == [
        ("/services/tfjobs/", "http://jobs:1"),
        ("/user/looked-at/", "http://10.0.0.2:8888"),
        ("/user/runs/", "http://10.0.0.1:8888"),
    ]
    assert [data for route, _, data in others if route == "/user/looked-at/"] == [
        {"user": "looked-at", "server_name": ""}
    ]


async def test_a_proxy_that_knows_the_hub_is_told_what_is_missing():
    gone = {"/user/gone/": {"routespec": "/user/gone/", "target": "http://10.0.0.9:1", "data": {"user": "gone"}}}
    proxy = Told(HUBS_OWN | gone)
    await proxy.check_routes({1: user("runs")}, {}, proxy.routes)
    assert [(route, target) for route, target, _ in proxy.told] == [
        ("/user/runs/", "http://10.0.0.1:8888"),
        ("/user/gone/", None),
    ]


async def test_a_hub_that_has_moved_is_told_at_once():
    elsewhere = {"/": {"routespec": "/", "target": "http://hub:1", "data": OWN}}
    proxy = Told(elsewhere)
    await proxy.check_routes({}, {})
    assert proxy.told == [("/", HUB.host, OWN)]


async def test_without_a_password_the_proxy_is_told_which_names_are_its_own():
    proxy = Told({}, SimpleNamespace(without_password=True))
    proxy.names = ["host.example"]
    await proxy.check_routes({}, {})
    assert proxy.told == [("/", HUB.host, {**OWN, "names": ["host.example"]})]
    proxy = Told({}, SimpleNamespace(without_password=False))
    await proxy.check_routes({}, {})
    assert proxy.told == [("/", HUB.host, OWN)]


async def test_where_users_have_domains_the_proxy_is_told_the_hubs_address():
    proxy = Told(HUBS_OWN, subdomain_host="https://hub.example.com")
    await proxy.check_routes({}, {})
    assert proxy.told == [("/", HUB.host, {"hub": True, "url": "https://hub.example.com", "names": []})]
    proxy.routes = {"/": {**HUBS_OWN["/"], "data": proxy.told.pop()[2]}}
    await proxy.check_routes({}, {})
    assert not proxy.told, "it is told again what it knows"
