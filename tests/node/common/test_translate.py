"""Text of a pod in this machine's words: boundaries, wildcards, service names, and text that has to stay as it is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kf_spawner.localcluster.node.common.translate import ServiceName, expand, service_names, translate
from tests.fixtures.loop_time import cpu_at_most

HOME = "/srv/volumes/kf-ada/claim-ada"
DIRECTORIES = {
    "/home/jovyan": HOME,
    "/home/jovyan/data": "/srv/volumes/kf-ada/data",
    "/mnt/x": "/srv/x",
    "/dev/termination-log": "/srv/pods/1/end",
}
POD_IP = "127.9.0.4"
TARGETS = {
    ("kf-ada", "job-worker-0", 2222): "127.0.0.1:20001",
    ("kf-ada", "job-worker-1", 2222): "127.0.0.1:20002",
    ("kf-ada", "web", 80): "127.9.240.1:80",
    ("kf-ada", "web", None): "127.9.240.1",
    ("other", "web", 8501): "127.9.240.2:8501",
}


def services(name: ServiceName) -> str | None:
    return TARGETS.get((name.namespace, name.service, name.port))


def here(text: str, directories: dict[str, str] = DIRECTORIES) -> str:
    return translate(text, namespace="kf-ada", directories=directories, pod_ip=POD_IP, services=services)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/home/jovyan", HOME),
        ("home/jovyan", "home/jovyan"),  # as the hub tells servers where jobs have the home
        ("/home/jovyan/", f"{HOME}/"),
        ("/home/jovyan/a b", f"{HOME}/a b"),
        ("--dir=/home/jovyan/x", f"--dir={HOME}/x"),
        ("a:/mnt/x:/mnt/y", "a:/srv/x:/mnt/y"),
        ("/mnt/x:/home/jovyan", f"/srv/x:{HOME}"),
        ('{"dir": "/home/jovyan"}', f'{{"dir": "{HOME}"}}'),
        (r"{\"dir\": \"/home/jovyan\"}", rf"{{\"dir\": \"{HOME}\"}}"),
        ("open('/home/jovyan/x.csv').read()", f"open('{HOME}/x.csv').read()"),
        ("['/mnt/x','/home/jovyan']", f"['/srv/x','{HOME}']"),
        ("cd /home/jovyan && ls >/mnt/x/out;cat </mnt/x", f"cd {HOME} && ls >/srv/x/out;cat </srv/x"),
        ("file:///home/jovyan/x", f"file://{HOME}/x"),
        ("${DIR:-/home/jovyan}", f"${{DIR:-{HOME}}}"),
        ("/home/jovyan/data/x", "/srv/volumes/kf-ada/data/x"),
        ("/home/jovyan/database", f"{HOME}/database"),
        ("echo done >/dev/termination-log", "echo done >/srv/pods/1/end"),
        ("/home/jovyan\n/home/jovyan", f"{HOME}\n{HOME}"),
    ],
)
def test_a_mount_path_becomes_its_directory(text, expected):
    assert here(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/home/jovyanx",
        "/home/jovyan-2",
        "/home/jovyan.bak",
        "/home/jovyan_2",
        "/home/jovyan*",
        r"/home/jovyan\ x",
        "/opt/home/jovyan",
        "./home/jovyan",
        "~/home/jovyan",
        "${ROOT}/home/jovyan",
        "$(pwd)/home/jovyan",
        "http://example.org/home/jovyan",
        "http://home/jovyan",
        "//home/jovyan",
        "/home",
        "/home/jovya",
        "s3://bucket/mnt/x",
    ],
)
def test_another_path_stays(text):
    assert here(text) == text


def test_a_directory_that_lies_below_a_mount_path_is_not_translated_twice():
    directories = {"/home/jovyan": "/home/jovyan/.kf/volumes/kf-ada/claim-ada"}
    once = here("/home/jovyan/x:/home/jovyan/.kf/volumes/kf-ada/claim-ada/y", directories)
    target = directories["/home/jovyan"]
    assert once == f"{target}/x:{target}/y"
    assert here(once, directories) == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0", POD_IP),
        ("--ip=0.0.0.0", f"--ip={POD_IP}"),
        ("http://0.0.0.0:8888/user/ada/", f"http://{POD_IP}:8888/user/ada/"),
        ("http://[::]:8888/", f"http://{POD_IP}:8888/"),
        ("[::]:8500", f"{POD_IP}:8500"),
        ("::", POD_IP),
        ("--host=::", f"--host={POD_IP}"),
        ("serve('0.0.0.0', 80)", f"serve('{POD_IP}', 80)"),
        ("${HOST:-0.0.0.0}", f"${{HOST:-{POD_IP}}}"),
    ],
)
def test_a_wildcard_address_becomes_the_pods_own(text, expected):
    assert here(text) == expected


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0.0", "10.0.0.0", "0.0.0.0.1", "0.0.0.01", "v0.0.0.0", "0.0.0.0/0", "0.0.0.0rc1", "x[::]", "x[::2]",
     "std::vector", "'a::b'", "a :: b", "f()[::]", "1-0.0.0.0"],
)  # fmt: skip
def test_what_only_looks_like_a_wildcard_stays(text):
    assert here(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("job-worker-0.kf-ada.svc:2222", "127.0.0.1:20001"),
        ("job-worker-0.kf-ada.svc.cluster.local:2222", "127.0.0.1:20001"),
        ("job-worker-0.kf-ada.svc.cluster.local.:2222", "127.0.0.1:20001"),
        ("job-worker-0:2222", "127.0.0.1:20001"),
        ("job-worker-0.kf-ada:2222", "127.0.0.1:20001"),
        (
            '{"worker": ["job-worker-0.kf-ada.svc:2222", "job-worker-1.kf-ada.svc:2222"]}',
            '{"worker": ["127.0.0.1:20001", "127.0.0.1:20002"]}',
        ),
        ("grpc://job-worker-0:2222", "grpc://127.0.0.1:20001"),
        ("http://web.kf-ada.svc/v1", "http://127.9.240.1:80/v1"),
        ("http://web/v1", "http://127.9.240.1:80/v1"),
        ("--host=web.kf-ada.svc", "--host=127.9.240.1"),
        ("http://web.other.svc:8501/v1", "http://127.9.240.2:8501/v1"),
        ("a,job-worker-0:2222,job-worker-1:2222", "a,127.0.0.1:20001,127.0.0.1:20002"),
    ],
)
def test_a_service_name_becomes_its_address(text, expected):
    assert here(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "web",
        "web:81",
        "my-web:80",
        "web-2:80",
        "web.example.org:80",
        "x.web.kf-ada.svc.example.org:80",
        "/serving/web:80",
        "Web:80",
        "web:800",
        "web:80x",
        "https://example.org/web:80",
        "model.linear.svc.fit(x)",
        "model.linear.svc.Fit(x)",
    ],
)
def test_what_is_no_service_stays(text):
    assert here(text) == text


def test_names_that_must_be_services_are_certain_and_others_are_not():
    found = service_names(
        "a.kf-ada.svc b.other.svc:1 c:2 d.other:3 m.linear.svc http://e/ pod-0.f.kf-ada.svc:4", namespace="kf-ada"
    )
    assert found == {
        ServiceName("kf-ada", "a", None, certain=True),
        ServiceName("other", "b", 1, certain=True),
        ServiceName("kf-ada", "c", 2, certain=False),
        ServiceName("other", "d", 3, certain=False),
        ServiceName("linear", "m", None, certain=False),
        ServiceName("kf-ada", "e", 80, certain=False, scheme=True),
        ServiceName("kf-ada", "f", 4, hostname="pod-0", certain=True),
    }


WORDS = '0.0.0.0 [::] web job-worker-0:2222 web.kf-ada.svc:80 / // : = x . \\ 1 - $ é " /mnt/x /tmp http://'
PIECES = st.sampled_from([*WORDS.split(), "/home/jovyan", HOME, " ", "\n"])


@given(st.lists(PIECES, max_size=12).map("".join))
@example(f"{HOME}:/home/jovyan")
def test_a_second_pass_changes_nothing_and_nothing_of_the_pods_words_is_left_at_a_boundary(text):
    once = here(text)
    assert here(once) == once
    for word in once.split():
        assert word != "/home/jovyan"
        assert word != "0.0.0.0"


@given(st.text(alphabet=st.characters(blacklist_characters="/:."), max_size=60))
def test_text_without_paths_addresses_or_names_stays(text):
    assert here(text) == text


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_around_a_path_breaks_it(before, after):
    text = f"{before} /home/jovyan/x {after}"
    assert f" {HOME}/x " in here(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)/x", "1/x"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(B)", "$(B)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$(A)$(A)", "11"),
        ("$(C)", "$(A)"),
    ],
)
def test_references_are_expanded_as_kubernetes_does(text, expected):
    assert expand(text, {"A": "1", "C": "$(A)"}) == expected


@pytest.mark.parametrize("text", ["$(" * 5000, "$(A)" + "$($$" * 5000, "$(" * 5000 + ")"])
def test_references_without_an_end_take_time_in_proportion(text):
    with cpu_at_most(0.1):
        expanded = expand(text, {"A": "1"})
    assert expanded == text.replace("$(A)", "1").replace("$$", "$")
