"""More clients than slots, all at once, over real sockets."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
from talk import events, send, transcript
from websockets.exceptions import InvalidStatus

CLIENTS, SLOTS = 12, 4
ASKED_AGAIN = 4  # by each refused client: whole seconds are few, so eight draws alone may be equal by chance


def test_twelve_clients_at_four_slots_are_four_served_whole_and_eight_told_to_come_back(serve, clips):
    own = serve(admission={"maxStreams": SLOTS})
    clip = clips("coffee")[3]
    with own.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        alone = transcript(events(socket))
    together, all_in = Barrier(CLIENTS), Barrier(CLIENTS)

    def client(_):
        together.wait()
        try:
            with own.connect() as socket:
                all_in.wait()  # so that nobody takes a slot which another has just left
                socket.send(clip.pcm)
                send(socket, "close")
                return transcript(events(socket))
        except InvalidStatus as refused:
            again = [httpx.get(f"{own.url}/v1/admission") for _ in range(ASKED_AGAIN)]
            all_in.wait()
            return refused.response, again

    with ThreadPoolExecutor(CLIENTS) as pool:
        found = list(pool.map(client, range(CLIENTS)))
    served = [each for each in found if isinstance(each, str)]
    refused = [each[0] for each in found if not isinstance(each, str)]
    asked = [response for each in found if not isinstance(each, str) for response in each[1]]
    assert served == [alone] * SLOTS
    assert [response.status_code for response in refused] == [503] * (CLIENTS - SLOTS)
    assert {json.loads(response.body)["reason"] for response in refused} == {"slots"}
    assert {response.status_code for response in asked} == {503}
    waits = [int(response.headers["Retry-After"]) for response in [*refused, *asked]]
    assert len(set(waits)) > 1, "they must not come back together"
    assert own.load()["refused"] == CLIENTS - SLOTS
    own.until(lambda load: load["slots"]["used"] == 0)
