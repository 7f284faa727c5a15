"""The queue of pipelines: who is looked at when, in virtual time."""

import asyncio
import itertools
from collections import Counter
from contextlib import asynccontextmanager

import virtual_time
from hypothesis import given
from hypothesis import strategies as st

from weir_operator.work_queue import FIRST_RETRY_S, LAST_RETRY_S, WorkQueue


@asynccontextmanager
async def working(handle, workers=1, jitter=lambda: 1.0):
    """A queue with workers, and the errors that it was told of."""
    queue, failures = WorkQueue(virtual_time.now, jitter), []
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(queue.work(handle, lambda key, error: failures.append((key, str(error)))))
            for _ in range(workers)
        ]
        yield queue, failures
        for task in tasks:
            task.cancel()


def test_a_key_that_is_added_is_looked_at_at_once():
    async def scene():
        looks = []

        async def look(key):
            looks.append((key, virtual_time.now()))

        async with working(look) as (queue, _):
            queue.add("a")
            queue.add("b", at=3.0)
            await asyncio.sleep(10)
        return looks

    assert virtual_time.run(scene()) == [("a", 0.0), ("b", 3.0)]


def test_many_additions_before_the_look_are_one_look_and_the_earliest_counts():
    async def scene():
        looks = []

        async def look(key):
            looks.append(virtual_time.now())

        async with working(look, workers=3) as (queue, _):
            for at in (9.0, 4.0, 6.0):
                queue.add("a", at)
            await asyncio.sleep(20)
        return looks

    assert virtual_time.run(scene()) == [4.0]


def test_a_key_that_is_added_while_it_is_looked_at_is_looked_at_again_after_and_never_twice_at_a_time():
    async def scene():
        spans = []

        async def look(key):
            began = virtual_time.now()
            await asyncio.sleep(2)
            spans.append((began, virtual_time.now()))

        async with working(look, workers=4) as (queue, _):
            queue.add("a")
            await asyncio.sleep(1)
            for _ in range(5):
                queue.add("a")
            await asyncio.sleep(20)
        return spans

    assert virtual_time.run(scene()) == [(0.0, 2.0), (2.0, 4.0)]


def test_what_a_look_returns_is_when_the_next_one_comes():
    async def scene():
        looks = []

        async def look(key):
            looks.append(virtual_time.now())
            return virtual_time.now() + 5 if len(looks) < 3 else None

        async with working(look) as (queue, _):
            queue.add("a")
            await asyncio.sleep(100)
        return looks

    assert virtual_time.run(scene()) == [0.0, 5.0, 10.0]


def test_failures_come_back_later_and_later_up_to_a_minute_and_a_success_forgets_them():
    async def scene():
        looks = []

        async def look(key):
            looks.append(virtual_time.now())
            if len(looks) <= 12:
                raise ValueError("no")

        async with working(look) as (queue, failures):
            queue.add("a")
            await asyncio.sleep(600)
            queue.add("a")
            await asyncio.sleep(1)
        return looks, failures

    looks, failures = virtual_time.run(scene())
    gaps = [later - sooner for sooner, later in itertools.pairwise(looks[:13])]
    assert gaps == [min(FIRST_RETRY_S * 2**n, LAST_RETRY_S) for n in range(12)]
    assert failures == [("a", "no")] * 12
    assert looks[-1] == 600.0


def test_what_a_failed_look_set_off_itself_does_not_bring_it_back_at_once_but_later_news_does():
    async def scene():
        looks = []

        async def look(key):
            looks.append(virtual_time.now())
            queue.add(key)  # as the answer to a write does
            if len(looks) < 4:
                raise ValueError("no")
            await asyncio.sleep(0)

        async with working(look) as (queue, _):
            queue.add("a")
            await asyncio.sleep(0.5)
            queue.add("a")
            await asyncio.sleep(0.01)
        return looks

    assert virtual_time.run(scene())[:3] == [0.0, 0.25, 0.5]


def test_one_key_that_fails_or_hangs_does_not_hold_up_the_others():
    async def scene():
        looks = Counter()

        async def look(key):
            looks[key] += 1
            if key == "hangs":
                await asyncio.Event().wait()
            if key == "fails":
                raise ValueError("no")

        async with working(look, workers=2) as (queue, _):
            queue.add("hangs")
            queue.add("fails")
            for place in range(100):
                queue.add(f"key{place}")
            await asyncio.sleep(1)
        return looks

    looks = virtual_time.run(scene())
    assert all(looks[f"key{place}"] == 1 for place in range(100))


def test_jitter_spreads_retries_over_half_of_the_delay():
    async def scene(jitter):
        looks = []

        async def look(key):
            looks.append(virtual_time.now())
            raise ValueError("no")

        async with working(look, jitter=lambda: jitter) as (queue, _):
            queue.add("a")
            await asyncio.sleep(FIRST_RETRY_S)
        return looks[1]

    assert virtual_time.run(scene(0.0)) == FIRST_RETRY_S / 2
    assert virtual_time.run(scene(0.5)) == FIRST_RETRY_S * 0.75


def test_the_depth_counts_keys_that_are_due_and_wait():
    async def scene():
        queue = WorkQueue(virtual_time.now, lambda: 0.0)
        queue.add("a")
        queue.add("b", at=5.0)
        before = len(queue)
        await asyncio.sleep(6)
        return before, len(queue)

    assert virtual_time.run(scene()) == (1, 2)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20), st.integers(0, 20)), max_size=30),
    st.integers(1, 3),
)
def test_nothing_that_was_added_is_lost_and_no_key_is_looked_at_twice_at_a_time(additions, workers):
    """`additions`: key, when it is added, and for when."""

    async def scene():
        busy, looks = set(), []

        async def look(key):
            assert key not in busy
            busy.add(key)
            began = virtual_time.now()
            await asyncio.sleep(1.5)
            busy.discard(key)
            looks.append((key, began))

        async with working(look, workers=workers) as (queue, failures):
            for key, when, at in sorted(additions, key=lambda addition: addition[1]):
                await asyncio.sleep(when - virtual_time.now())
                queue.add(key, float(at))
            await asyncio.sleep(200)
            assert not failures
            assert len(queue) == 0
        return looks

    looks = virtual_time.run(scene())
    for key, when, at in additions:
        assert any(k == key and began >= min(at, when) and began >= when for k, began in looks)
