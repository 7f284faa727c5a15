"""What a client may do wrong, or a network to it: a typed answer, a documented close code, and nothing for the
stream beside it."""

import json
import socket as sockets
import struct
import subprocess
import sys

import pytest
from talk import events, of_type, send, transcript, until_event
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect


@pytest.fixture(scope="module")
def clip(clips):
    return clips("coffee")[3]


@pytest.fixture
def beside(server, clip):
    """A stream that is open while another misbehaves, and must not notice."""
    with server.connect("endpointing.mode=manual") as socket:
        half = len(clip.pcm) // 4 * 2
        socket.send(clip.pcm[:half])
        yield
        socket.send(clip.pcm[half:])
        send(socket, "close")
        found = events(socket)
        assert transcript(found) == clip.text
        assert not of_type(found, "error")


def wav(pcm, rate=16000):
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16,
                       b"data", len(pcm))  # fmt: skip
    return head + pcm


def talk(server, *frames, query=""):
    with server.connect(query) as socket:
        for frame in frames:
            socket.send(frame)
        send(socket, "close")
        found = events(socket)
    return found, socket.close_code


@pytest.mark.usefixtures("beside")
class TestTypedErrors:
    def test_truncated_wav(self, server, clip):
        found, code = talk(server, wav(clip.pcm)[:-1001], query="endpointing.mode=manual")
        assert code == 1000
        assert transcript(found).split()[:4] == clip.text.split()[:4]

    def test_wav_cut_in_its_header(self, server, clip):
        found, code = talk(server, wav(clip.pcm)[:30])
        assert [error["code"] for error in of_type(found, "error")] == ["undecodable"]
        assert (found[-1]["type"], found[-1]["reason"], code) == ("closed", "error", 4010)

    def test_no_bytes_at_all(self, server):
        found, code = talk(server, b"", b"")
        assert ([event["type"] for event in found], code) == (["ready", "closed"], 1000)

    def test_odd_bytes(self, server, clip):
        odd = [clip.pcm[at : at + 1601] for at in range(0, len(clip.pcm), 1601)]
        found, code = talk(server, *odd, b"\x01")
        assert (transcript(found), code) == (clip.text, 1000)

    def test_wrong_encoding_named(self, server, clip):
        found, code = talk(server, clip.pcm, query="encoding=pcm_f32le")
        assert of_type(found, "error")[0]["code"] == "undecodable"
        assert (found[-1]["reason"], code) == ("error", 4010)

    def test_wrong_encoding_named_for_a_wav(self, server, clip):
        found, code = talk(server, wav(clip.pcm), query="encoding=alaw&sample_rate=8000")
        assert of_type(found, "warning")[0]["code"] == "header_differs"
        assert (transcript(found), code) == (clip.text, 1000)

    def test_compressed_audio(self, server):
        found, code = talk(server, b"OggS" + bytes(100))
        assert ("Ogg" in of_type(found, "error")[0]["message"], code) == (True, 4010)

    def test_text_where_audio_should_be(self, server, clip):
        found, code = talk(server, "hello there", clip.pcm)
        assert of_type(found, "error")[0]["code"] == "bad_message"
        assert (transcript(found), code) == (clip.text, 1000)

    def test_deeply_nested_json(self, server, clip):
        found, code = talk(server, "[" * 50_000, '{"a":' * 10_000, clip.pcm)
        assert [error["code"] for error in of_type(found, "error")] == ["bad_message"] * 2
        assert (transcript(found), code) == (clip.text, 1000)

    def test_unknown_option_and_unknown_message(self, server):
        found, code = talk(
            server, '{"type":"configure","id":"a","colour":"red"}', '{"type":"sing","id":"b"}', query="x=1"
        )
        assert [error["code"] for error in of_type(found, "error")] == [
            "unknown_option", "unknown_option", "unknown_message"
        ]  # fmt: skip
        assert (of_type(found, "configured")[0]["ignored"], code) == (["colour"], 1000)

    def test_a_frame_that_is_too_big(self, server):
        with server.connect(max_size=None) as socket:
            until_event(socket, "ready")
            with pytest.raises(ConnectionClosed):
                socket.send(bytes(100_000_000))
                events(socket)
                socket.ping()
        assert socket.close_code in (1009, 1006)
        server.until(lambda load: load["streams"] == 1, 1.0)

    def test_a_flood_of_nonsense(self, server):
        found, code = talk(server, *["?"] * 2000)
        assert (len(of_type(found, "error")), code) == (2000, 1000)


def raw_stream(server, query=""):
    """A stream on a bare socket, which can be treated as a network would treat it."""
    host, port = server.url.removeprefix("http://").split(":")
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect((host, int(port)))
    raw.sendall(
        f"GET /v1/stream?{query} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def frame(kind, body):
    """A masked frame with the mask 0."""
    return bytes([0x80 | kind, 0xFF]) + struct.pack(">Q", len(body)) + bytes(4) + body


def reset(raw):
    """Gone without a word, as after a crash."""
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def idle(load):
    return load["streams"] == load["slots"]["used"] == load["queue"]["bytes"] == load["queue"]["chunks"] == 0


CLIENTS = """
import asyncio, sys, websockets

async def main(url, pcm):
    sockets = [await websockets.connect(url, compression=None) for _ in range(40)]
    while True:
        for socket in sockets:
            await socket.send(pcm[:3200])
        print("sent", flush=True)
        await asyncio.sleep(0.1)

asyncio.run(main(sys.argv[1], open(sys.argv[2], "rb").read()))
"""


def test_forty_clients_killed_in_mid_stream_leave_nothing_within_a_second(serve, clip, tmp_path):
    own = serve(admission={"maxStreams": 40})
    (tmp_path / "pcm").write_bytes(clip.pcm)
    clients = subprocess.Popen(
        [sys.executable, "-c", CLIENTS, own.ws, tmp_path / "pcm"], stdout=subprocess.PIPE, text=True
    )
    with clients:
        for _ in range(12):
            assert clients.stdout.readline() == "sent\n"
        load = own.load()
        assert (load["streams"], load["slots"]["used"]) == (40, 40)
        clients.kill()
    assert own.until(idle, 1.0) < 1.0
    with own.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        assert transcript(events(socket)) == clip.text
    assert 'weir_streams_closed_total{class="standard",reason="vanished"} 40.0' in own.metrics()


@pytest.mark.parametrize("leave", [reset, lambda raw: raw.close()], ids=["reset", "closed"])
def test_a_client_that_vanishes_while_it_is_slowed_is_noticed(serve, leave):
    own = serve(admission={"maxLeadSeconds": 2})
    raw = raw_stream(own, "encoding=mulaw&sample_rate=4000&endpointing.mode=manual")
    raw.settimeout(0.3)
    sound = frame(2, bytes(1 << 16))
    with pytest.raises(TimeoutError):  # until nobody reads any more
        for _ in range(2000):
            raw.sendall(sound)
    assert 0 < own.load()["queue"]["bytes"] < 8 << 20
    leave(raw)
    assert own.until(idle, 1.0) < 1.0


def test_a_hang_up_in_mid_stream_frees_everything(serve, clip):
    own = serve()
    raw = raw_stream(own)
    raw.sendall(frame(2, clip.pcm))
    own.until(lambda load: load["audio_s"] > 1)
    raw.shutdown(sockets.SHUT_WR)
    own.until(idle, 1.0)
    raw.close()


def test_a_client_that_never_reads_is_closed_and_hurts_nobody(serve, clip):
    own = serve(admission={"sendTimeoutSeconds": 1, "idleSeconds": 3600})
    raw = raw_stream(own)
    ping = frame(1, json.dumps({"type": "ping", "id": "x" * 100, "t": "y" * 50_000}).encode())
    with own.connect("endpointing.mode=manual") as beside:
        beside.send(clip.pcm)
        raw.settimeout(8.0)
        with pytest.raises(ConnectionError):  # slowed first, then cut
            for _ in range(100_000):
                raw.sendall(ping)
        send(beside, "close")
        assert transcript(events(beside)) == clip.text
    raw.close()
    own.until(idle, 5.0)
    assert 'reason="send_timeout"' in own.metrics()


def test_half_a_handshake_takes_no_slot(serve):
    own = serve()
    host, port = own.url.removeprefix("http://").split(":")
    raw = sockets.create_connection((host, int(port)))
    raw.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
    assert own.load()["slots"]["used"] == 0
    raw.close()


def test_a_socket_to_an_unknown_path_is_refused(server):
    with pytest.raises(InvalidStatus) as caught, connect(server.ws.replace("/v1/stream", "/v2/stream")):
        pass
    assert caught.value.response.status_code in (403, 404)
