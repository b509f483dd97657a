"""What the API server does not let a node read yet is asked for again; any other answer counts at once."""

import pytest

from kf_spawner.kube import Forbidden, NotFound
from kf_spawner.localcluster.node.common.retry_forbidden import retry_forbidden


class Server:
    """Answers with these, one after the other, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = 0

    async def ask(self):
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def refusal() -> Forbidden:
    return Forbidden(403, "Forbidden", "no relationship found between node and this object")


async def test_a_refusal_that_passes_is_not_told():
    assert await retry_forbidden(Server(refusal(), refusal(), {"kind": "Secret"}).ask) == {"kind": "Secret"}


async def test_a_refusal_that_stays_is():
    server = Server(refusal())
    with pytest.raises(Forbidden):
        await retry_forbidden(server.ask, patience=1.0)
    assert server.asked > 1


async def test_what_is_not_there_is_told_at_once():
    server = Server(NotFound(404, "NotFound", "gone"))
    with pytest.raises(NotFound):
        await retry_forbidden(server.ask)
    assert server.asked == 1
