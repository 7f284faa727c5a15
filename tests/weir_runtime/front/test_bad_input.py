"""What a client may do wrong, or a network to it: a typed answer, a documented close code, and nothing for the
stream beside it."""

import json
import socket as sockets
import struct

import pytest
from talk import events, of_type, send, transcript, until_event
from websockets.exceptions import ConnectionClosed


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


def vanish(connection):
    """Gone without a word, as after a crash: the kernel sends a reset."""
    raw = connection.socket
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    raw.close()


def idle(load):
    return load["streams"] == load["slots"]["used"] == load["queue"]["bytes"] == load["queue"]["chunks"] == 0


def test_forty_clients_killed_in_mid_stream_leave_nothing_within_a_second(serve, clip):
    own = serve(admission={"maxStreams": 40})
    open_streams = [own.connect() for _ in range(40)]
    for socket in open_streams:
        socket.send(clip.pcm)
    own.until(lambda load: load["streams"] == 40)
    for socket in open_streams:
        vanish(socket)
    assert own.until(idle, 1.0) < 1.0
    with own.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        assert transcript(events(socket)) == clip.text


def test_a_client_that_vanishes_while_it_is_slowed_is_noticed(serve, clip):
    own = serve(admission={"maxLeadSeconds": 2})
    socket = own.connect("model=small", max_size=None)
    raw = socket.socket
    raw.settimeout(0.2)
    body = bytes(1 << 16)
    header = b"\x82\xff" + struct.pack(">Q", len(body)) + b"\0\0\0\0"
    sent = 0
    with pytest.raises(TimeoutError):  # until nobody reads any more
        for _ in range(4000):
            raw.sendall(header + body)
            sent += len(body)
    assert own.load()["queue"]["bytes"] < 64 << 20
    vanish(socket)
    own.until(idle, 1.0)


def test_a_polite_hang_up_in_mid_stream_frees_everything(serve, clip):
    own = serve()
    socket = own.connect()
    socket.send(clip.pcm)
    until_event(socket, "speech_started")
    socket.socket.shutdown(sockets.SHUT_RDWR)
    own.until(idle, 1.0)


def test_a_client_that_never_reads_is_closed_and_hurts_nobody(serve, clip):
    own = serve(admission={"sendTimeoutSeconds": 1, "idleSeconds": 3600})
    raw = sockets.create_connection((own.url.split("//")[1].split(":")[0], int(own.url.rsplit(":", 1)[1])))
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    raw.settimeout(0.2)
    message = json.dumps({"type": "ping", "id": "x" * 100, "t": "y" * 50_000}).encode()
    frame = b"\x81\xfe" + struct.pack(">H", len(message)) + b"\0\0\0\0" + message
    own.until(lambda load: load["streams"] == 1)
    with pytest.raises(OSError):  # noqa: PT011 slowed first (timeout), then cut (reset)
        for _ in range(100_000):
            try:
                raw.sendall(frame)
            except TimeoutError:
                raw.settimeout(5.0)
    own.until(idle, 5.0)
    with own.connect() as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        assert transcript(events(socket)) == clip.text
    assert 'reason="send_timeout"' in own.metrics()


def test_half_a_handshake_takes_no_slot(serve):
    own = serve()
    host, port = own.url.removeprefix("http://").split(":")
    raw = sockets.create_connection((host, int(port)))
    raw.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n")
    assert own.load()["slots"]["used"] == 0
    raw.close()


def test_a_socket_to_an_unknown_path_is_refused(server):
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus) as caught, connect(server.ws.replace("/v1/stream", "/v2/stream")):
        pass
    assert caught.value.response.status_code in (403, 404)
