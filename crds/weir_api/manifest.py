"""Reads a StreamingPipeline from YAML; what is wrong is told as `file:line: field: message`, all of it at once."""

from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from weir_api.v1alpha1 import StreamingPipeline

Place = tuple[str | int, ...]


class ManifestError(ValueError):
    """One line per problem, each naming file, line and field."""


def read_manifest(path: Path) -> StreamingPipeline:
    """The pipeline in the file `path`; raises ManifestError, also where the file cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error
    return parse_manifest(text, str(path))


def parse_manifest(text: str, name: str) -> StreamingPipeline:
    """The pipeline in `text`; `name` is what errors call it. An empty document is the default pipeline."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"{name}: not YAML: {error}") from error
    if root is None or document is None:
        return StreamingPipeline()
    if not isinstance(document, dict):
        raise ManifestError(f"{name}:1: a manifest is a mapping with apiVersion, kind, metadata and spec")
    try:
        return StreamingPipeline.model_validate(document)
    except ValidationError as error:
        lines = [_describe(name, root, problem["loc"], problem["msg"]) for problem in error.errors()]
        raise ManifestError("\n".join(lines)) from error


def _describe(name: str, root: yaml.Node, place: Place, message: str) -> str:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
    line = max((node.start_mark.line for node in _nodes(root, place)), default=0) + 1
    return f"{name}:{line}: {field or 'manifest'}: {message.removeprefix('Value error, ')}"


def _nodes(node: yaml.Node, place: Place) -> Iterator[yaml.Node]:
    """The nodes on the way to `place`, as far as the document has them; for a key, the key itself."""
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
            if not found:
                return
            key, node = found[0]
            yield key
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            yield node
        else:
            return
