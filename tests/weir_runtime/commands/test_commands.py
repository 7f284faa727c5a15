"""The commands as a person runs them: in processes of their own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

import httpx
import pytest
from talk import events, of_type, send, transcript, until_event
from websockets.sync.client import connect

WEIR = str(Path(sys.executable).with_name("weir"))
SAMPLES = Path(__file__).parents[3] / "runtime" / "weir_runtime" / "samples"


def weir(*args, stdin=None):
    done = subprocess.run([WEIR, *map(str, args)], input=stdin, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def start(tmp_path):
    """`weir serve` on a free port; gives the process, its address and its log file."""
    running = []

    def run(manifest=None, *args):
        log = (tmp_path / f"log{len(running)}").open("w+")
        if manifest is not None:
            (tmp_path / "pipeline.yaml").write_text(manifest)
            args = ("-f", tmp_path / "pipeline.yaml", *args)
        process = subprocess.Popen(
            [WEIR, "serve", "--port", "0", *map(str, args)], stdout=subprocess.PIPE, stderr=log, text=True
        )
        running.append((process, log))
        line = process.stdout.readline()
        assert line.startswith("weir: listening on http://"), (line, Path(log.name).read_text())
        return process, line.split()[-1], Path(log.name)

    yield run
    for process, log in running:
        process.kill()
        process.wait()
        process.stdout.close()
        log.close()


SMALL = 'spec:\n  model:\n    variants: [{name: small, source: "embedded://small"}]\n'


def speak(url, clip, query=""):
    with connect(f"{url.replace('http', 'ws')}/v1/stream?{query}", compression=None) as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        return transcript(events(socket))


def test_transcribe_prints_one_line_per_utterance():
    code, out, err = weir("transcribe", SAMPLES / "mocha.flac", SAMPLES / "computer.flac")
    assert (code, out, err) == (0, "make me a medium roast mocha\ncomputer\n", "")


def test_transcribe_reads_standard_input_and_prints_events(server):
    code, out, _ = weir("transcribe", "-", "--json", "--url", server.url, stdin=(SAMPLES / "mocha.flac").read_bytes())
    found = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert (found[0]["type"], found[-1]["type"]) == ("ready", "closed")
    assert [event["text"] for event in of_type(found, "final")] == ["make me a medium roast mocha"]


def test_transcribe_in_real_time_with_words(server):
    code, out, _ = weir("transcribe", SAMPLES / "computer.flac", "--words", "--realtime", "--url", server.url,
                        "--model", "small", "--latency", "low", "--manual")  # fmt: skip
    assert code == 0
    assert out.split()[-1] == "computer"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("no-such-file.wav",), "no-such-file.wav: cannot be read as audio: No such file"),
        ((__file__,), "cannot be read as audio"),
        ((SAMPLES / "mocha.flac", "--url", "http://127.0.0.1:9"), "cannot connect"),
    ],
)
def test_transcribe_fails_in_one_clear_line(args, says):
    code, out, err = weir("transcribe", *args)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert says in err


def test_transcribe_tells_why_it_was_refused(server):
    code, _, err = weir("transcribe", SAMPLES / "mocha.flac", "--url", server.url, "--model", "none")
    assert (code, "one of large, small" in err) == (1, True)


def test_a_file_that_breaks_off_in_the_middle_is_told(server, tmp_path):
    broken = tmp_path / "broken.flac"
    whole = (SAMPLES / "digits.flac").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2] + bytes(2000))
    code, _, err = weir("transcribe", broken, "--url", server.url)
    assert (code, "broken in the middle" in err) == (1, True)


def test_demo_streams_all_samples_and_exits():
    code, out, err = weir("demo")
    assert (code, err) == (0, "")
    assert "make me a medium roast mocha" in out
    assert "6 streams, 45 words" in out


def test_models_are_listed_and_inspected(tmp_path):
    assert "embedded://small" in weir("models", "ls")[1]
    code, out, _ = weir("models", "inspect", "embedded://large")
    assert (code, "vocabulary  256 pieces" in out) == (0, True)
    code, _, err = weir("models", "inspect", f"file://{tmp_path}/none.nemo")
    assert (code, "there is no file" in err) == (1, True)


def test_serve_says_what_is_wrong_with_a_manifest(tmp_path):
    manifest = tmp_path / "bad.yaml"
    manifest.write_text("spec:\n  admission:\n    maxStreams: none\n")
    code, _, err = weir("serve", "-f", manifest)
    assert (code, "bad.yaml:3: spec.admission.maxStreams" in err) == (1, True)


def test_serve_says_that_its_port_is_taken(start):
    _, url, _ = start(SMALL)
    code, _, err = weir("serve", "--port", url.rsplit(":", 1)[1])
    assert (code, "in use" in err) == (1, True)


def test_an_empty_spec_is_a_whole_pipeline(start, clips):
    clip = clips("coffee")[3]
    _, url, _ = start("spec: {}\n")
    assert speak(url, clip, "class=interactive&model=large") == clip.text


def test_probes_and_metrics_move_to_the_control_port(start):
    process, url, _ = start(SMALL, "--control-port", "0")
    control = process.stdout.readline().split()[-1]
    assert httpx.get(f"{control}/livez").json() == {"status": "ok"}
    assert httpx.get(f"{control}/readyz").json() == {"status": "ready"}
    assert "weir_slots" in httpx.get(f"{control}/metrics").text
    for path in ("/livez", "/readyz", "/metrics"):
        assert httpx.get(url + path).status_code == 404
    assert httpx.get(f"{url}/v1/load").status_code == 200
    assert httpx.get(f"{control}/v1/load").status_code == 404


def test_sigterm_drains_and_then_ends(start, clips):
    clip = clips("coffee")[3]
    process, url, _ = start(SMALL)
    with connect(f"{url.replace('http', 'ws')}/v1/stream?endpointing.mode=manual", compression=None) as socket:
        socket.send(clip.pcm[: len(clip.pcm) // 2])
        until_event(socket, "interim")
        process.send_signal(signal.SIGTERM)
        warning = until_event(socket, "warning")[-1]
        assert (warning["code"], warning["grace_s"]) == ("draining", 300)
        assert httpx.get(f"{url}/readyz").status_code == 503
        full = httpx.get(f"{url}/v1/admission")
        assert (full.status_code, full.json()["reason"]) == (503, "draining")
        socket.send(clip.pcm[len(clip.pcm) // 2 :])
        send(socket, "close")
        assert transcript(events(socket)) == clip.text
    assert process.wait(10) == 0


def test_ctrl_c_gives_every_stream_its_final_and_1001_within_five_seconds(start, clips):
    clip = clips("coffee")[3]
    process, url, _ = start(SMALL)
    address = f"{url.replace('http', 'ws')}/v1/stream?endpointing.mode=manual"
    with httpx.stream("GET", f"{url}/v1/load", headers={"accept": "text/event-stream"}) as page:
        lines = page.iter_lines()
        assert next(lines).startswith("data: ")
        with connect(address, compression=None) as one, connect(address, compression=None) as two:
            for socket in (one, two):
                socket.send(clip.pcm)
                until_event(socket, "interim")
            began = monotonic()
            process.send_signal(signal.SIGINT)
            for socket in (one, two):
                found = events(socket)
                (final,) = of_type(found, "final")
                assert (final["text"], final["reason"]) == (clip.text, "drain")
                assert (found[-1]["reason"], socket.close_code) == ("drain", 1001)
        assert process.wait(5) == 0
        assert monotonic() - began < 5


def test_a_second_ctrl_c_ends_at_once(start):
    process, url, _ = start(SMALL)
    with connect(f"{url.replace('http', 'ws')}/v1/stream", compression=None) as socket:
        until_event(socket, "ready")
        process.send_signal(signal.SIGTERM)
        until_event(socket, "warning")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0


def test_no_log_holds_a_transcript_a_key_or_a_query(start, clips):
    clip = clips("coffee")[3]
    process, url, log = start(SMALL, "--log-level", "debug")
    with connect(
        f"{url.replace('http', 'ws')}/v1/stream?secretoption=1&model=small",
        compression=None,
        subprotocols=["weir.v1", "bearer.topsecretkey"],
        additional_headers={"Authorization": "Bearer topsecretkey"},
    ) as socket:
        socket.send(clip.pcm)
        send(socket, "close")
        assert transcript(events(socket)) == clip.text
    httpx.get(f"{url}/v1/load?key=topsecretkey")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    text = log.read_text()
    for secret in ("mocha", "topsecretkey", "secretoption"):
        assert secret not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["event"] for line in lines if "stream" in line].count("stream opened") == 1
    assert {"time", "level", "event"} <= set(lines[0])
