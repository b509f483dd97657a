"""The brake on wrong passwords: who has to wait, how long, and who never has to."""

import pytest

from kf_spawner.hub.login.brake import FORGOTTEN_AFTER, FREE_OF_SOURCE, FREE_OF_USER, LONGEST, Brake, Counts, in_words


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


def guess(brake, clock, source, user, times):
    """Wrong passwords, each as soon as it is looked at; the seconds that this takes."""
    began = clock.now
    for _ in range(times):
        clock.now += brake.wait(source, user)
        brake.wrong(source, user)
    return clock.now - began


def test_a_few_mistakes_cost_nothing(brake, clock):
    assert guess(brake, clock, "a", "ada", FREE_OF_SOURCE) == 0
    assert brake.wait("a", "ada") == 1
    assert brake.wait("a", "grace") == 1, "one machine guesses with many names"
    assert brake.wait("b", "ada") == 0


def test_each_further_guess_waits_twice_as_long_up_to_five_minutes(brake, clock):
    waits = []
    for _ in range(FREE_OF_SOURCE + 20):
        brake.wrong("a", None)
        waits.append(brake.wait("a", None))
        clock.now += waits[-1]
    assert waits[FREE_OF_SOURCE - 1 :][:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST]
    assert waits[-1] == LONGEST


def test_after_the_wait_the_right_password_clears_the_source(brake, clock):
    guess(brake, clock, "a", "ada", FREE_OF_SOURCE)
    clock.now += brake.wait("a", "ada")
    assert brake.wait("a", "ada") == 0
    brake.right("a")
    assert guess(brake, clock, "a", "ada", FREE_OF_SOURCE) == 0


def test_guesses_from_many_sources_count_for_the_user(brake, clock):
    """A source without a wrong password of its own is let in: nobody can lock a user out from elsewhere."""
    for number in range(FREE_OF_USER + 10):
        assert brake.wait(f"bot {number}", "ada") == 0
        brake.wrong(f"bot {number}", "ada")
    assert brake.wait("bot 0", "ada") == LONGEST
    assert brake.wait("bot 0", "grace") == 0
    assert brake.wait("ada's laptop", "ada") == 0
    brake.wrong("ada's laptop", "ada")
    assert brake.wait("ada's laptop", "ada") == LONGEST
    brake.wrong("ada's browser", None)
    assert brake.wait("ada's browser", None) == 0


def test_a_source_is_free_again_in_an_hour_though_others_go_on_guessing(brake, clock):
    guess(brake, clock, "ada's laptop", "ada", 1)
    for number in range(FREE_OF_USER):
        brake.wrong(f"bot {number}", "ada")
    clock.now += FORGOTTEN_AFTER - 1
    brake.wrong("bot", "ada")
    assert brake.wait("ada's laptop", "ada") > 0
    clock.now += 1
    assert brake.wait("ada's laptop", "ada") == 0


def test_memory_is_bounded_and_the_oldest_is_forgotten_first(clock):
    counts = Counts(1, clock=clock, room=100)
    counts.add("first")
    for number in range(99):
        counts.add(f"source {number}")
    counts.add("first")  # it goes on
    for number in range(1000):
        counts.add(f"other {number}")
        counts.add("first")
    assert len(counts) == 100
    assert "first" in counts
    assert "source 0" not in counts


def test_no_number_of_guesses_breaks_it(brake, clock):
    guess(brake, clock, "a", "ada", 2000)
    assert brake.wait("a", "ada") == LONGEST


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 second"), (1.5, "2 seconds"), (64, "64 seconds"), (128, "3 minutes"), (300, "5 minutes")],
)
def test_a_wait_in_words(seconds, words):
    assert in_words(seconds) == words
