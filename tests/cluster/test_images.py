"""The images as `make images` built them, run by runc as user 65532."""

import json
import subprocess

import pytest
from box import buildah, requirements
from box.buildah import CPU, OPERATOR, Image

pytestmark = pytest.mark.cluster
RUN = ("--network", "host", "--runtime", "/usr/bin/runc", "--user", "65532:65532", "--env", "HOME=/tmp")


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    lacking = requirements.lacking_for_images()
    if lacking:
        pytest.skip(lacking)
    if not all(buildah.exists(image.tag) for image in (OPERATOR, CPU)):
        pytest.skip("run `make images` first: it builds the images, in about ten minutes")


def inside(image: Image, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it once in a container of its own."""
    name = subprocess.check_output(buildah.command("from", "--pull-never", image.tag), text=True).strip()
    try:
        return subprocess.run(
            buildah.command("run", *RUN, name, "--", *words), capture_output=True, text=True, check=False
        )
    finally:
        subprocess.run(buildah.command("rm", name), check=True, capture_output=True)


def test_the_operators_image_has_neither_torch_nor_models() -> None:
    said = inside(
        OPERATOR,
        "python3",
        "-c",
        "import weir_operator, importlib.util as u; print(u.find_spec('torch'), u.find_spec('weir_runtime'))",
    )
    assert said.stdout.strip() == "None None", said.stderr


def test_the_operators_command_starts() -> None:
    said = inside(OPERATOR, "weir", "operator", "run", "--help")
    assert said.returncode == 0, said.stderr
    assert "--default-image" in said.stdout


def test_the_operators_image_says_that_serve_is_not_in_it() -> None:
    said = inside(OPERATOR, "weir", "serve")
    assert said.returncode == 1
    assert "which is not installed" in said.stderr


@pytest.mark.parametrize("image", [OPERATOR, CPU], ids=lambda image: image.part)
def test_an_image_names_no_index_and_runs_unprivileged(image: Image) -> None:
    config = json.loads(subprocess.check_output(buildah.command("inspect", "--type", "image", image.tag)))["OCIv1"]
    assert config["config"]["User"] == "65532:65532"
    assert not [line for line in config["config"]["Env"] if "://" in line or line.startswith("PIP_")]
    assert inside(image, "sh", "-c", "! test -s /etc/pip.conf && ! touch /opt/weir/x").returncode == 0
