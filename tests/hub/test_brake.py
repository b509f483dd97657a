"""The brake on wrong passwords: who has to wait, how long, and who never has to."""

import pytest

from kf_spawner.hub.login.brake import (
    FORGOTTEN_AFTER,
    FREE_OF_SOURCE,
    FREE_OF_STRANGERS,
    LONGEST,
    PAUSE_OF_STRANGERS,
    ROOM,
    Brake,
    Counts,
    in_words,
)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def brake(clock):
    return Brake(clock=clock)


def guess(brake, clock, source, times):
    """Wrong passwords of a known browser, each as soon as it is looked at; the seconds that this takes."""
    began = clock.now
    for _ in range(times):
        clock.now += brake.wait(source, stranger=False)
        brake.wrong(source, stranger=False)
    return clock.now - began


def test_a_few_mistakes_cost_nothing(brake, clock):
    assert guess(brake, clock, "a", FREE_OF_SOURCE) == 0
    assert brake.wait("a", stranger=False) == 1
    assert brake.wait("b", stranger=False) == 0


def test_each_further_guess_waits_twice_as_long_up_to_five_minutes(brake, clock):
    waits = []
    for _ in range(FREE_OF_SOURCE + 20):
        brake.wrong("a", stranger=False)
        waits.append(brake.wait("a", stranger=False))
        clock.now += waits[-1]
    assert waits[FREE_OF_SOURCE - 1 :][:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST]
    assert waits[-1] == LONGEST


def test_after_the_wait_the_right_password_clears_the_source(brake, clock):
    guess(brake, clock, "a", FREE_OF_SOURCE)
    clock.now += brake.wait("a", stranger=False)
    assert brake.wait("a", stranger=False) == 0
    brake.right("a")
    assert guess(brake, clock, "a", FREE_OF_SOURCE) == 0


def test_a_source_is_free_again_in_an_hour(brake, clock):
    guess(brake, clock, "a", FREE_OF_SOURCE + 20)
    clock.now += FORGOTTEN_AFTER
    assert guess(brake, clock, "a", FREE_OF_SOURCE) == 0


def test_however_many_sources_guess_they_share_one_rate(brake, clock):
    """Each has an address of its own, and gives its first wrong password."""
    began = clock.now
    for number in range(FREE_OF_STRANGERS + 1000):
        clock.now += brake.wait(f"bot {number}", stranger=True)
        brake.wrong(f"bot {number}", stranger=True)
    assert clock.now - began == 1000 * PAUSE_OF_STRANGERS
    assert brake.wait("ada's new laptop", stranger=True) == PAUSE_OF_STRANGERS
    assert brake.wait("ada's browser", stranger=False) == 0
    clock.now += FREE_OF_STRANGERS * PAUSE_OF_STRANGERS
    for number in range(FREE_OF_STRANGERS):
        assert brake.wait(f"new bot {number}", stranger=True) == 0
        brake.wrong(f"new bot {number}", stranger=True)
    assert brake.wait("new bot", stranger=True) == PAUSE_OF_STRANGERS


def test_known_browsers_do_not_use_up_the_rate_of_strangers(brake, clock):
    for number in range(FREE_OF_STRANGERS):
        guess(brake, clock, f"browser {number}", 1)
    assert brake.wait("stranger", stranger=True) == 0


def test_memory_is_bounded_and_the_oldest_is_forgotten_first(clock):
    counts = Counts(clock=clock, room=2)
    for source in [*["first"] * FREE_OF_SOURCE, *["second"] * FREE_OF_SOURCE, "first", "third"]:
        counts.add(source)
    assert len(counts) == 2
    assert counts.wait("first") > 0
    assert counts.wait("second") == 0


def test_strangers_cannot_make_the_hub_forget_a_source():
    assert FREE_OF_STRANGERS + FORGOTTEN_AFTER / PAUSE_OF_STRANGERS < ROOM


def test_no_number_of_guesses_breaks_it(brake, clock):
    guess(brake, clock, "a", 2000)
    assert brake.wait("a", stranger=False) == LONGEST


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (1.5, "2 seconds"), (64, "64 seconds"), (128, "3 minutes"), (300, "5 minutes")],
)
def test_a_wait_in_words(seconds, words):
    assert in_words(seconds) == words
