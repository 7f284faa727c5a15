"""What a client said besides audio, when its stream goes on elsewhere."""

from client.lost import SPEECH, S, goes_on, hear
from client.scripted import scripted

from weir_runtime.client.events import Cleared, Configured, Finalized, Pong


async def test_messages_are_sent_again_at_their_places_and_answered_once():
    async def first(taken):
        await taken.ready()
        await taken.until_message("keepalive")
        for kind, tag in (("configured", "c1"), ("cleared", "x1"), ("finalized", "f1"), ("pong", "p1")):
            await taken.say(kind, id=tag, from_ms=0)
        await taken.say("checkpoint", from_ms=1000, resume="t1")
        taken.cut()

    async def second(taken):
        await taken.ready("t2", 1000)
        await taken.until_message("close")
        for message in taken.heard:
            if isinstance(message, dict) and message["type"] != "close":
                kind = {"configure": "configured", "clear": "cleared", "finalize": "finalized", "ping": "pong"}
                await taken.say(kind[message["type"]], id=message["id"], from_ms=0, empty=True)
        await taken.closed()

    async def then(stream):
        await stream.finalize("done with")  # before the token, and never answered: a server would not do that
        await stream.send(SPEECH[S : 2 * S])
        await stream.configure("c1", words=False)
        await stream.clear("x1")
        await stream.send(SPEECH[2 * S : 3 * S])
        await stream.finalize("f1")
        await stream.finalize("f2")
        await stream.finalize()
        await stream.ping("p1")
        await stream.ping("p2")
        await stream.ping()
        await stream.keepalive()

    async with scripted(first, second) as (url, taken):
        found = await hear(url, then=then)
    answers = [event for event in found if isinstance(event, Configured | Cleared | Finalized | Pong)]
    assert [(type(event), event.id) for event in answers] == [
        (Configured, "c1"), (Cleared, "x1"), (Finalized, "f1"), (Pong, "p1"),
        (Finalized, "done with"), (Finalized, "f2"), (Finalized, None), (Pong, "p2"),
    ]  # fmt: skip
    own = taken[1].heard[7]["id"]
    assert taken[1].heard == [
        {"type": "finalize", "id": "done with"},
        SPEECH[S : 2 * S],
        {"type": "configure", "id": "c1", "words": False},
        {"type": "clear", "id": "x1"},
        SPEECH[2 * S : 3 * S],
        {"type": "finalize", "id": "f1"},
        {"type": "finalize", "id": "f2"},
        {"type": "finalize", "id": own},
        {"type": "ping", "id": "p2"},
        {"type": "close"},
    ]


async def test_a_rate_that_was_changed_holds_from_its_place():
    async def then(stream):
        await stream.configure(sample_rate=8000)
        await stream.send(SPEECH[S : 2 * S])

    async def first(taken):
        await taken.ready()
        await taken.until_bytes(2 * S)
        await taken.say("configured", id=taken.heard[1]["id"], from_ms=1000)
        await taken.final(0, "t1", 1500)
        taken.cut()

    async with scripted(first, goes_on(1500)) as (url, taken):
        await hear(url, then=then)
    assert taken[1].query["sample_rate"] == "8000"
    assert taken[1].heard[0] == SPEECH[S + S // 4 : 2 * S]
