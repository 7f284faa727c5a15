"""The cache of one kind against a small API server in memory: outages, 410, deletions nobody saw, our own writes."""

import asyncio

import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st
from watched_server import Server

from weir_operator.informer import BACKOFF_S, FORBIDDEN_S, QUIET_S, Informer


class Scene:
    """An informer that runs, and what it told: `mirror` is built from its calls alone."""

    def __init__(self, server, kind):
        self.server, self.mirror, self.told = server, {}, []
        self.informer = Informer(server, kind, "n", "", self.trim, self.changed)

    @staticmethod
    def trim(found):
        value = found["data"]["value"]
        return None if value == "foreign" else (found["metadata"]["name"], found["metadata"]["uid"], value)

    def changed(self, old, new):
        assert old != new
        name = (new or old)[0]
        assert self.mirror.get(name) == old
        self.told.append((old and old[2], new and new[2]))
        if new is None:
            del self.mirror[name]
        else:
            self.mirror[name] = new

    def cached(self):
        return {value[0]: value[2] for value in self.informer.values()}


def play(scene, page=2, kind="ConfigMap"):
    """Run `scene(server, played)` beside a running informer."""

    async def whole():
        server = Server(page)
        played = Scene(server, kind)
        task = asyncio.create_task(played.informer.run())
        try:
            return await scene(server, played)
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()

    return virtual_time.run(whole())


def test_it_lists_all_pages_and_then_follows():
    async def scene(server, played):
        for place in range(5):
            await server.change(f"a{place}", "1")
        await played.informer.synced.wait()
        listed = played.cached()
        await server.change("a0", "2")
        await server.change("a1", None)
        await server.change("b", "1")
        await asyncio.sleep(0.1)
        return listed, played.cached(), server.lists, server.watches

    listed, followed, lists, watches = play(scene)
    assert listed == {f"a{place}": "1" for place in range(5)}
    assert followed == {"a0": "2", "a2": "1", "a3": "1", "a4": "1", "b": "1"}
    assert (lists, watches) == (1, 1)


def test_a_deletion_during_an_outage_whose_history_is_gone_is_told_all_the_same():
    async def scene(server, played):
        await server.change("a", "1")
        await server.change("b", "1")
        await played.informer.synced.wait()
        await asyncio.sleep(5)
        server.down = True
        await server.cut()
        await asyncio.sleep(90)
        await server.change("a", None)
        await server.change("c", "1")
        server.compact()
        server.down = False
        await asyncio.sleep(10)
        return played.told, played.cached(), server.lists

    told, cached, lists = play(scene)
    assert ("1", None) in told
    assert cached == {"b": "1", "c": "1"}
    assert lists == 2


def test_after_an_outage_with_its_history_kept_nothing_is_listed_anew():
    async def scene(server, played):
        await played.informer.synced.wait()
        await asyncio.sleep(5)
        server.down = True
        await server.cut()
        await server.change("a", "1")
        await asyncio.sleep(20)
        server.down = False
        await asyncio.sleep(10)
        return played.cached(), server.lists

    assert play(scene) == ({"a": "1"}, 1)


def test_a_connection_that_says_nothing_is_dead():
    async def scene(server, played):
        await played.informer.synced.wait()
        server.mute = True
        await server.change("a", "1")
        await asyncio.sleep(QUIET_S - 1)
        before = played.cached()
        server.mute = False
        await asyncio.sleep(3)
        return before, played.cached()

    assert play(scene) == ({}, {"a": "1"})


def test_a_server_that_stays_away_is_asked_ever_less_often_and_found_again_in_seconds():
    async def scene(server, played):
        await played.informer.synced.wait()
        await asyncio.sleep(5)
        server.down = True
        await server.cut()
        before = server.watches
        await asyncio.sleep(100)
        tries = server.watches - before
        server.down = False
        await server.change("a", "1")
        await asyncio.sleep(BACKOFF_S[-1] + 0.1)
        return tries, played.cached()

    tries, cached = play(scene)
    assert 18 <= tries <= 25
    assert cached == {"a": "1"}


def test_what_we_wrote_is_known_before_the_watch_tells_it_and_is_told_once():
    async def scene(server, played):
        await played.informer.synced.wait()
        server.mute = True
        written = await server.change("a", "1")
        played.informer.saw(written)
        at_once = played.cached()
        server.mute = False
        await server.change("b", "1")
        await asyncio.sleep(0.1)
        return at_once, played.told

    at_once, told = play(scene)
    assert at_once == {"a": "1"}
    assert told == [(None, "1"), (None, "1")]


def test_an_older_event_does_not_take_back_what_we_wrote():
    async def scene(server, played):
        await server.change("a", "1")
        await played.informer.synced.wait()
        server.mute = True
        await server.change("a", "2")
        written = await server.change("a", "3")
        played.informer.saw(written)
        server.mute = False
        await server.change("b", "1")
        await asyncio.sleep(0.1)
        return [new for _, new in played.told]

    assert play(scene) == ["1", "3", "1"]


def test_the_answer_to_a_write_that_arrives_after_the_deletion_raises_no_ghost():
    async def scene(server, played):
        await played.informer.synced.wait()
        written = await server.change("a", "1")
        await server.change("a", None)
        await asyncio.sleep(0.1)
        played.informer.saw(written)
        return played.cached()

    assert play(scene) == {}


def test_what_we_write_while_a_list_is_read_stays():
    async def scene(server, played):
        async def write():
            played.informer.saw(await server.change("z", "ours"))
            server.between_pages = None

        for place in range(4):
            await server.change(f"a{place}", "1")
        server.between_pages = write
        await played.informer.synced.wait()
        await asyncio.sleep(0.1)
        return [told for told in played.told if "ours" in told]

    assert play(scene) == [(None, "ours")]


def test_changes_that_trimming_leaves_out_are_not_told_and_foreign_objects_are_not_kept():
    async def scene(server, played):
        await server.change("a", "1")
        await server.change("f", "foreign")
        await played.informer.synced.wait()
        await server.change("a", "1")
        await server.change("b", "1")
        await server.change("b", "foreign")  # somebody took our label away
        await asyncio.sleep(0.1)
        return played.told, played.cached()

    told, cached = play(scene)
    assert told == [(None, "1"), (None, "1"), ("1", None)]
    assert cached == {"a": "1"}


async def forbidden_for_a_while(server, played):
    server.refuse = 403
    await asyncio.sleep(10)
    before = played.informer.synced.is_set(), played.informer.forbidden
    server.refuse = None
    await server.change("a", "1")
    await asyncio.sleep(FORBIDDEN_S + 1)
    return before, played.informer.forbidden, played.cached()


def test_a_kind_that_can_be_spared_is_done_without_while_it_may_not_be_read():
    assert play(forbidden_for_a_while, kind="Node") == ((True, True), False, {"a": "1"})


def test_a_kind_that_everything_rests_on_is_waited_for():
    assert play(forbidden_for_a_while) == ((False, False), False, {"a": "1"})


STEPS = st.one_of(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", None])),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 3.0, 80.0])),
    st.sampled_from([("cut", 0), ("compact", 0), ("down", 0), ("up", 0), ("write", 0), ("mute", 0), ("unmute", 0)]),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=25), st.integers(1, 3))
def test_whatever_happens_the_cache_ends_as_the_server_has_it_and_every_change_was_told(steps, page):
    async def scene(server, played):
        for what, amount in steps:
            match what:
                case "wait":
                    await asyncio.sleep(amount)
                case "cut":
                    await server.cut()
                case "compact":
                    server.compact()
                case "down" | "up":
                    server.down = what == "down"
                case "mute" | "unmute":
                    server.mute = what == "mute"
                case "write":
                    written = await server.change("w", str(server.version))
                    played.informer.saw(written)
                case name:
                    await server.change(name, amount)
        server.down = server.mute = False
        await server.cut()
        await asyncio.sleep(30)
        wanted = {name: found["data"]["value"] for name, found in server.objects.items()}
        assert played.cached() == wanted
        assert {name: value[2] for name, value in played.mirror.items()} == wanted

    play(scene, page)
