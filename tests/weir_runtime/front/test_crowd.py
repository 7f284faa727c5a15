"""Many clients at once get what one gets."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

from talk import events, send, transcript

FRAME = 3200  # bytes: 100 ms


def at_once(server, clip):
    with server.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        return transcript(events(socket))


def test_sixteen_at_four_times_real_time_get_what_one_gets(server, clips):
    chosen = clips("coffee")[:8] + clips("digits")[:8]

    def paced(clip):
        with server.connect("class=interactive") as socket:
            for at in range(0, len(clip.pcm), FRAME):
                socket.send(clip.pcm[at : at + FRAME])
                Event().wait(0.1 / 4)  # the pace is the point: four times real time
            send(socket, "close")
            found = events(socket)
        return transcript(found)

    alone = [at_once(server, clip) for clip in chosen]
    with ThreadPoolExecutor(16) as pool:
        together = list(pool.map(paced, chosen))
    assert together == alone
