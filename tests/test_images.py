"""What the Dockerfiles promise, read from them: pinned, unprivileged, from nowhere in particular."""

import re
from pathlib import Path

import pytest
from box import base_image, buildah

REPOSITORY = Path(__file__).parents[1]
DOCKERFILES = [REPOSITORY / part / "Dockerfile" for part in ("operator", "runtime")]
each = pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)


def stages(file: Path) -> list[str]:
    """The text of each stage, FROM included."""
    return re.split(r"^(?=FROM )", file.read_text(), flags=re.M)[1:]


@each
def test_every_stage_starts_from_the_one_base_or_from_a_stage_before(file: Path) -> None:
    known = {base_image.TAG}
    for stage in stages(file):
        words = stage.splitlines()[0].split()
        assert words[1] in known
        known.update(words[3:4])


@each
def test_images_run_as_the_user_that_pods_run_as(file: Path) -> None:
    final = [stage for stage in stages(file) if "\nCMD " in stage]
    assert final
    for stage in final:
        assert re.findall(r"^USER (.*)$", stage, re.M) == ["65532:65532"]


@each
def test_final_stages_run_nothing_so_that_nothing_mounted_leaves_a_trace(file: Path) -> None:
    for stage in stages(file):
        if "\nCMD " in stage:
            assert "\nRUN " not in stage


@each
def test_no_host_is_named_and_nothing_is_latest(file: Path) -> None:
    text = file.read_text()
    assert "://" not in text
    assert "latest" not in text


@each
def test_what_comes_from_an_index_is_locked_by_hash_or_pinned(file: Path) -> None:
    build_backend = re.search(r'"(hatchling==[\d.]+)"', (REPOSITORY / "pyproject.toml").read_text())
    assert build_backend is not None
    for command in re.findall(r"install ((?:.*\\\n)*.*)", file.read_text()):
        local = "--no-index" in command
        assert local or "--require-hashes" in command or build_backend[1] in command or '"$TORCH_INDEX"' in command


def test_nothing_is_in_the_build_context_but_what_is_named() -> None:
    lines = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    named = [line.removeprefix("!") for line in lines[1:] if line.startswith("!")]
    assert all((REPOSITORY / name).exists() for name in named)
    assert not {name.split("/")[0] for name in named} & {".venv", ".git", ".cluster", "tests", "shared"}


def test_pip_learns_what_this_machine_knows_and_nothing_of_its_disk() -> None:
    listed = "global.index-url='https://a.test/simple'\n:env:.find-links='/opt/wheels'\n:env:.timeout='9'\n"
    lines = buildah.pip_config(listed).splitlines()
    assert "index-url = https://a.test/simple" in lines
    assert "timeout = 9" in lines
    assert not any("find-links" in line for line in lines)
