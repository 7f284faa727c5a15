"""From the words of a manifest to a file; `weir models pull` against a hub of our own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine.checkpoints import make_config, make_weights, write_nemo
from engine.hub import hub

from weir_runtime.engine.sources import HubFile, SourceError, parse_hub, resolve

WEIR = str(Path(sys.executable).with_name("weir"))


def test_embedded_models_are_files_of_the_package():
    for name in ("large", "small"):
        assert resolve(f"embedded://{name}").is_file()


def test_a_path_and_a_path_on_the_volume(tmp_path, monkeypatch):
    (tmp_path / "speech").mkdir()
    file = tmp_path / "speech" / "x.nemo"
    file.touch()
    monkeypatch.setenv("WEIR_PVC_ROOT", str(tmp_path))
    assert resolve(f"file://{file}") == file
    assert resolve("pvc://speech/x.nemo") == file


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("embedded://huge", "embedded models are large, small"),
        ("file:///nowhere/x.nemo", "there is no file /nowhere/x.nemo"),
        ("file:///tmp", "there is no file /tmp"),
        ("pvc://x.nemo", "there is no file /models/x.nemo"),
        ("/models/x.nemo", "begins with embedded://, file://, pvc:// or hf://"),
        ("s3://bucket/x.nemo", "begins with embedded://, file://, pvc:// or hf://"),
        ("", "begins with embedded://"),
        ("hf://", "a hub source is hf://owner/repo"),
        ("hf://owner", "a hub source is hf://owner/repo"),
        ("hf:///repo", "a hub source is hf://owner/repo"),
        ("hf://owner/@v1", "a hub source is hf://owner/repo"),
    ],
)
def test_a_source_that_names_nothing_says_what_to_do(source, says, monkeypatch):
    monkeypatch.delenv("WEIR_PVC_ROOT", raising=False)
    with pytest.raises(SourceError) as refused:
        resolve(source)
    assert str(refused.value).startswith(source)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf://nvidia/a", HubFile("nvidia/a", None, None)),
        ("hf://nvidia/a@v1", HubFile("nvidia/a", "v1", None)),
        ("hf://nvidia/a/b.nemo", HubFile("nvidia/a", None, "b.nemo")),
        ("hf://nvidia/a@v1/sub/b.nemo", HubFile("nvidia/a", "v1", "sub/b.nemo")),
    ],
)
def test_a_hub_source_in_its_parts(source, expected):
    assert parse_hub(source) == expected


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    config = make_config()
    one = write_nemo(tmp_path_factory.mktemp("nemo") / "one.nemo", config, make_weights(config)).read_bytes()
    repos = {
        "owner/one": {"README.md": b"hello", "one.nemo": one},
        "owner/two": {"a.nemo": one, "sub/b.nemo": one},
        "owner/none": {"README.md": b"hello"},
    }
    with hub(repos) as running:
        yield running


@pytest.fixture
def run(here, tmp_path):
    """A program in a process of its own: the hub's library reads its environment when it is imported."""

    def run(*args, endpoint=here.url):
        here.asked.clear()
        env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "COLUMNS": "200"}
        done = subprocess.run(args, env=env, capture_output=True, timeout=60, check=False, text=True)
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def pull(run):
    """What `pull` says of many sources, one process for all: paths, or errors."""

    def pull(*sources, **where):
        code, out, err = run(sys.executable, "-c", PULL, *sources, **where)
        assert code == 0, err
        return out.splitlines()

    return pull


PULL = """
import sys
from weir_runtime.engine.sources import SourceError, pull, resolve
for source in sys.argv[1:]:
    told = []
    try:
        path = pull(source, lambda *now: told.append(now))
        assert resolve(source) == path
        assert told == sorted(told)
        print(path, *(told[-1] if told else ()))
    except SourceError as error:
        print(error)
"""


def fetches(here):
    return [path for method, path in here.asked if method == "GET" and "/resolve/" in path]


def test_a_pulled_model_is_listed_and_inspected(run, here):
    code, out, err = run(WEIR, "models", "pull", "hf://owner/one")
    assert (code, err) == (0, "")
    assert Path(out.strip()).read_bytes() == here.repos["owner/one"]["one.nemo"]
    code, listed, _ = run(WEIR, "models", "ls")
    assert code == 0
    assert "hf://owner/one/one.nemo" in listed
    code, told, _ = run(WEIR, "models", "inspect", "hf://owner/one")
    assert (code, "vocabulary  12 pieces" in told, out.strip() in told) == (0, True, True)


def test_a_pull_that_cannot_be_is_one_clear_line(run):
    code, out, err = run(WEIR, "models", "pull", "hf://owner/unknown")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("weir: hf://owner/unknown: cannot be fetched: Repository Not Found")


def test_progress_is_told_to_the_end_and_nothing_is_fetched_twice(pull, here):
    size = len(here.repos["owner/one"]["one.nemo"])
    first, again = pull("hf://owner/one", "hf://owner/one")
    assert first == f"{again} {size} {size}"
    assert fetches(here) == ["/owner/one/resolve/main/one.nemo"]


def test_a_file_and_a_revision_can_be_named(pull, here):
    (told,) = pull("hf://owner/two@v1/sub/b.nemo")
    assert f"{'b' * 40}/sub/b.nemo" in told
    assert fetches(here) == ["/owner/two/resolve/v1/sub/b.nemo"]


def test_each_wrong_source_says_what_is_wrong(pull):
    wrong = {
        "hf://owner/one@v9": "Revision Not Found",
        "hf://owner/one/other.nemo": "Entry Not Found",
        "hf://owner/two": "name one .nemo file of the repository, as in hf://owner/two/file.nemo; it has a.nemo, sub/b",
        "hf://owner/none": "it has none",
        "hf://own er/one": "Repo id must use alphanumeric chars",
        "embedded://small": "a hub source is hf://owner/repo",
    }
    for told, (source, says) in zip(pull(*wrong), wrong.items(), strict=True):
        assert told.startswith(f"{source}: ")
        assert says in told


def test_looking_a_model_up_asks_no_hub(run, here):
    script = "from weir_runtime.engine.sources import resolve; resolve('hf://owner/two')"
    code, _, err = run(sys.executable, "-c", script)
    assert code == 1
    assert "hf://owner/two: not on this machine; run `weir models pull hf://owner/two`" in err
    assert here.asked == []
