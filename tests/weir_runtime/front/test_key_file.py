"""Keys without a socket: where one may stand, what their file may say, and what a front makes of its changes."""

import asyncio
import json
import os

import pytest
from api_keys import KEY, OFFERED, OTHER, entry, write

from weir_api.manifest import ManifestError
from weir_api.v1alpha1 import StreamingPipelineSpec
from weir_runtime.front.access import Access, key_of
from weir_runtime.front.keys import digest, parse_keys
from weir_runtime.front.quota import Quota


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.yaml"
    write(path, entry(KEY))
    return path


# ---- what stands in it, and in a request


@pytest.mark.parametrize(
    ("headers", "offered", "key"),
    [
        ({}, [], None),
        ({"authorization": "Bearer k"}, [], "k"),
        ({"authorization": "bearer  k "}, [], "k"),
        ({"authorization": "Basic k"}, [], None),
        ({"authorization": "Bearer "}, ["weir.v1"], None),
        ({}, ["weir.v1", "bearer.k.l"], "k.l"),
        ({}, ["bearer."], None),
        ({"authorization": "Bearer k"}, ["bearer.l"], "k"),
        ({"authorization": "Basic k"}, ["bearer.l"], "l"),
    ],
)
def test_where_a_key_may_stand(headers, offered, key):
    assert key_of(headers, offered) == key


def problems(*entries, offered=OFFERED):
    with pytest.raises(ManifestError) as caught:
        parse_keys(json.dumps(entries, indent=1), "k.yaml", offered)
    for each in entries:
        assert each.get("sha256", "?") not in str(caught.value)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sha256": "beef"}, "k.yaml:3: [0].sha256: "),
        ({"sha256": digest(KEY).upper()}, "k.yaml:3: [0].sha256: "),
        ({"tenant": "Acme Inc"}, "k.yaml:4: [0].tenant: "),
        ({"tenant": "anonymous"}, "k.yaml:4: [0].tenant: anonymous is who comes without a key"),
        ({"class": "vip"}, "k.yaml:5: [0].class: "),
        ({"maxStreams": 0}, "k.yaml:6: [0].maxStreams: "),
        ({"audioSecondsPerDay": "much"}, "k.yaml:6: [0].audioSecondsPerDay: "),
        ({"key": KEY}, "k.yaml:6: [0].key: "),
    ],
)
def test_a_wrong_entry_is_refused_with_its_line_and_field(changes, said):
    (line,) = problems(entry(KEY) | changes)
    assert line.startswith(said)
    assert KEY not in line


def test_a_class_that_the_pipeline_does_not_offer_is_refused():
    (line,) = problems(entry(KEY), entry(OTHER, highest="interactive"), offered=("standard", "batch"))
    assert line == "k.yaml:10: [1].class: interactive is not among the pipeline's priorityClasses (standard, batch)"


def test_a_key_may_stand_there_once_only():
    assert problems(entry(KEY), entry(OTHER), entry(KEY, "globex")) == [
        "k.yaml:13: [2].sha256: the same key as in [0]; remove one"
    ]


def test_a_quota_is_the_tenants_and_must_not_contradict_itself():
    found = parse_keys(json.dumps([entry(KEY, maxStreams=2), entry(OTHER, audioSecondsPerDay=9)]), "k", OFFERED)
    assert {grant.quota for grant in found.values()} == {Quota(2, 9)}
    parse_keys(json.dumps([entry(KEY, maxStreams=2), entry(OTHER, maxStreams=2)]), "k", OFFERED)
    (line,) = problems(entry(KEY, maxStreams=2), entry("a", "globex", maxStreams=5), entry(OTHER, maxStreams=3))
    assert "[2].maxStreams: 3, but [0] states 2 for the same tenant" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "k:1: a keys file is a list"),
        ("acme: weir_x", "k:1: a keys file is a list"),
        (f"- {digest(KEY)}: acme", "k:1: [0].sha256: Field required"),
        (f"- a\n- [{digest(KEY)}", "k:2: not YAML"),
        (f"- '{digest(KEY)}", "not YAML"),
    ],
)
def test_what_is_no_keys_file_is_told_without_showing_it(text, said):
    with pytest.raises(ManifestError) as caught:
        parse_keys(text, "k", OFFERED)
    assert said in str(caught.value)
    assert digest(KEY) not in str(caught.value)
    assert parse_keys("[]", "k", OFFERED) == {}


# ---- while it changes


class Told:
    """What the observer would be told, for a test to wait for."""

    def __init__(self):
        self.news = asyncio.Queue()
        self.keys_reloaded = self.keys_not_reloaded = self.news.put_nowait


def access(path, observer=None):
    spec = StreamingPipelineSpec.model_validate({"auth": {"keysFile": str(path)}})
    return Access(spec, observer or Told())


def knows(door, key):
    return not isinstance(door.grant(key), str)


async def test_the_watch_takes_over_what_changes(keys):
    told = Told()
    door = access(keys, told)
    watching = asyncio.create_task(door.watch(every_s=0.0))
    write(keys, entry(OTHER))
    assert await asyncio.wait_for(told.news.get(), 10) == 1
    assert (knows(door, KEY), knows(door, OTHER)) == (False, True)
    with keys.open("a") as file:
        file.write(KEY)
    assert "not YAML" in await asyncio.wait_for(told.news.get(), 10)
    assert knows(door, OTHER)
    write(keys)
    assert await asyncio.wait_for(told.news.get(), 10) == 0
    assert not knows(door, OTHER)
    watching.cancel()


async def test_a_bad_file_keeps_the_old_keys_and_is_told_once(keys):
    told = Told()
    door = access(keys, told)
    await door.look()
    assert told.news.empty()  # nothing changed
    for spoil, said in (
        (lambda: write(keys, entry("bad", highest="vip")), "[0].class"),
        (keys.unlink, "cannot be read"),
    ):
        spoil()
        for _ in range(3):
            await door.look()
        assert said in told.news.get_nowait()
        assert told.news.empty()
        assert knows(door, KEY)
    write(keys, entry(KEY), entry(OTHER))
    await door.look()
    assert knows(door, OTHER)
    assert told.news.get_nowait() == 2


async def test_a_link_that_is_swapped_is_a_change(tmp_path):
    """As Kubernetes changes a mounted Secret: keys.yaml -> ..data/keys.yaml, ..data -> a folder by date."""
    for folder, key in (("..1", KEY), ("..2", OTHER)):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "keys.yaml", entry(key))
        os.utime(tmp_path / folder / "keys.yaml", ns=(1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "keys.yaml").symlink_to("..data/keys.yaml")
    door = access(tmp_path / "keys.yaml")
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    await door.look()
    assert (knows(door, KEY), knows(door, OTHER)) == (False, True)
