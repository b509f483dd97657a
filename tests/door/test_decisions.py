"""When an answer of the hub is used again, and when the hub is asked."""

import asyncio

import pytest

from kf_spawner.door import decisions as module
from kf_spawner.door.decisions import Allowed, Answer, Decisions, HubAway
from kf_spawner.serving.refusals import refusal

REFUSED = refusal(403, "Forbidden", "no")
QUESTION = ("token t", "kf-ada", "digits")


class Hub:
    """Says what the test says, at the time that the test says: a fake, because no real hub's time can be set."""

    def __init__(self) -> None:
        self.answer: Answer | HubAway = Allowed()
        self.asked: list[tuple[str, ...]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.time = 1000.0

    def decisions(self, keep: float = 30, without_hub: float = 600) -> Decisions:
        return Decisions(self.ask, keep=keep, without_hub=without_hub, clock=lambda: self.time)

    async def ask(self, *question: str) -> Answer:
        self.asked.append(question)
        answer = self.answer
        await self.open.wait()
        if isinstance(answer, HubAway):
            raise answer
        return answer

    async def count(self) -> int:
        """How often it was asked, with the questions that have no waiter."""
        await asyncio.sleep(0)
        return len(self.asked)


async def test_an_answer_is_used_for_its_time_and_renewed_beside_requests() -> None:
    hub = Hub()
    async with hub.decisions() as decisions:
        for seconds, asked in ((0, 1), (14, 1), (1, 2), (14, 2), (29, 3), (30, 4)):
            hub.time += seconds
            assert await decisions.decide(*QUESTION) is None
            assert await hub.count() == asked, (seconds, hub.time)


async def test_a_slow_hub_is_not_in_the_way_of_who_comes_often() -> None:
    hub = Hub()
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        hub.open.clear()
        hub.time += 29
        assert await decisions.decide(*QUESTION) is None
        assert await hub.count() == 2
        hub.time += 1
        late = asyncio.create_task(decisions.decide(*QUESTION))
        assert await hub.count() == 2
        assert not late.done(), "an answer is not used for longer than it may"
        hub.open.set()
        assert await late is None


async def test_who_asks_the_same_at_the_same_time_is_one_question() -> None:
    hub = Hub()
    hub.open.clear()
    async with hub.decisions() as decisions:
        waiting = [asyncio.create_task(decisions.decide(*QUESTION)) for _ in range(10)]
        await hub.count()
        waiting[0].cancel()
        hub.open.set()
        assert await asyncio.gather(*waiting[1:]) == [None] * 9
        assert len(hub.asked) == 1


async def test_each_token_namespace_and_name_is_a_question_of_its_own() -> None:
    hub = Hub()
    questions = [
        ("token t", "kf-a", "x"),
        ("Bearer t", "kf-a", "x"),
        ("token t", "kf-b", "x"),
        ("token t", "kf-a", "y"),
    ]
    async with hub.decisions() as decisions:
        await decisions.decide(*questions[0])
        hub.answer = REFUSED
        assert [await decisions.decide(*each) for each in questions] == [None, REFUSED, REFUSED, REFUSED]
        assert hub.asked == questions


async def test_a_refusal_is_not_used_again() -> None:
    """A token that was made, or got a scope, a moment ago works."""
    hub = Hub()
    hub.answer = REFUSED
    async with hub.decisions() as decisions:
        assert await decisions.decide(*QUESTION) == REFUSED
        hub.answer = Allowed()
        assert await decisions.decide(*QUESTION) is None


async def test_a_refusal_ends_what_was_allowed() -> None:
    hub = Hub()
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        hub.answer = REFUSED
        hub.time += 15
        await decisions.decide(*QUESTION)
        await hub.count()
        assert await decisions.decide(*QUESTION) == REFUSED, "as soon as the hub says so"
        hub.answer = HubAway()
        with pytest.raises(HubAway):
            await decisions.decide(*QUESTION)


async def test_while_the_hub_is_away_an_answer_is_used_until_its_end() -> None:
    hub = Hub()
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        hub.answer = HubAway("killed")
        for seconds in (31, 1, 567):
            hub.time += seconds
            assert await decisions.decide(*QUESTION) is None
        with pytest.raises(HubAway):
            await decisions.decide("token unknown", *QUESTION[1:])
        hub.time += 1
        with pytest.raises(HubAway):
            await decisions.decide(*QUESTION)
        hub.answer = Allowed()
        assert await decisions.decide(*QUESTION) is None


async def test_a_hub_that_hangs_is_waited_for_once_and_not_by_each_request() -> None:
    hub = Hub()
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        hub.answer = HubAway("timed out")
        hub.time += 100
        assert await decisions.decide(*QUESTION) is None
        asked = await hub.count()
        assert [await decisions.decide(*QUESTION) for _ in range(5)] == [None] * 5
        assert await hub.count() == asked
        hub.time += 1
        hub.answer = REFUSED
        assert await decisions.decide(*QUESTION) == REFUSED


@pytest.mark.parametrize(("valid", "still", "over"), [(10, 9, 1), (100, 99, 1), (10_000, 599, 1)])
async def test_no_answer_is_used_when_its_token_has_expired(valid: float, still: float, over: float) -> None:
    hub = Hub()
    hub.answer = Allowed(valid)
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        hub.answer = HubAway()
        hub.time += still
        assert await decisions.decide(*QUESTION) is None
        hub.time += over
        with pytest.raises(HubAway):
            await decisions.decide(*QUESTION)


async def test_what_is_kept_is_bounded_and_has_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    hub = Hub()
    async with hub.decisions() as decisions:
        for token in ("token a", "token b", "token a", "token c", "token a", "token b"):
            assert await decisions.decide(token, "kf-ada", "digits") is None
        assert [question[0][-1] for question in hub.asked] == ["a", "b", "c", "b"], "the one used longest ago goes"
        assert "token" not in repr(vars(decisions)["_kept"])


async def test_what_is_not_to_be_remembered_is_asked_again_and_pushes_nothing_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST", 1)
    hub = Hub()
    async with hub.decisions() as decisions:
        await decisions.decide(*QUESTION)
        for _ in range(2):
            assert await decisions.decide("token t", "kf-ada", "made-up", remember=False) is None
        await decisions.decide(*QUESTION)
    assert [name for _, _, name in hub.asked] == ["digits", "made-up", "made-up"]


async def test_without_keeping_the_hub_is_asked_each_time() -> None:
    hub = Hub()
    async with hub.decisions(keep=0) as decisions:
        for _ in range(3):
            assert await decisions.decide(*QUESTION) is None
    assert len(hub.asked) == 3
