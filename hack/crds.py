"""Write what is made of the models: the resource definition, its copy in the chart, and the reference page.

hack/crds.py           write
hack/crds.py --check   say which files differ from the models, and exit with 1 if one does
"""

import sys
from pathlib import Path

from pipeline_reference import page

from weir_api.crd import as_yaml, definition

ROOT = Path(__file__).parents[1]
HEAD = "# Generated from crds/weir_api by `make crds`: change it there.\n"


def files() -> dict[str, str]:
    """Path and content of each."""
    plain, kept = definition(), definition()
    kept["metadata"]["annotations"] = {"helm.sh/resource-policy": "keep"}  # uninstalling would delete every pipeline
    assert "{{" not in as_yaml(kept), "a template's braces in a description"
    return {
        "crds/streamingpipelines.weir.dev.yaml": HEAD + as_yaml(plain),
        "charts/weir-crds/templates/streamingpipelines.weir.dev.yaml": HEAD + as_yaml(kept),
        "docs/pipeline.md": page(),
    }


def main(words: list[str]) -> int:
    """The exit code."""
    if words not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wanted = files()
    stale = [name for name in wanted if not (ROOT / name).exists() or (ROOT / name).read_text() != wanted[name]]
    if words:
        for name in stale:
            print(f"{name} differs from the models: run make crds", file=sys.stderr)
        return len(stale) > 0
    for name in stale:
        (ROOT / name).write_text(wanted[name])
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
