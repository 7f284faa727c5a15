"""Reads a StreamingPipeline, or another document, from YAML; what is wrong is told as `file:line: field: message`, all
of it at once.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from weir_api.base import FieldError
from weir_api.v1alpha1 import StreamingPipeline

T = TypeVar("T")
Place = tuple[str | int, ...]
Check = Callable[[T], Iterable[tuple[Place, str]]]
PIPELINE = TypeAdapter(StreamingPipeline)
WRONG_SHAPE = ("model_type", "model_attributes_type", "list_type")  # of pydantic's errors
LONGEST_FIELD = 32  # characters
SHAPE = "a manifest is a mapping with apiVersion, kind, metadata and spec"


class ManifestError(ValueError):
    """One line per problem, each naming file, line and field."""


def read_manifest(path: Path) -> StreamingPipeline:
    """The pipeline in the file `path`; raises ManifestError, also where the file cannot be read."""
    return parse_manifest(read(path), str(path))


def parse_manifest(text: str, name: str) -> StreamingPipeline:
    """The pipeline in `text`; `name` is what errors call it. An empty document is the default pipeline."""
    return parse(text, name, PIPELINE, SHAPE, empty={})


def read(path: Path) -> str:
    """The text of a file; raises ManifestError where it cannot be had."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: cannot be read: {error}") from error


def parse(
    text: str, name: str, model: TypeAdapter[T], shape: str, *, empty: object = None, check: Check[T] | None = None
) -> T:
    """`text` as `model` has it; raises ManifestError. `shape` says what the document is where it is something else,
    `empty` stands for an empty one, `check` finds what no single field can know. No error shows the text itself: a
    file may hold secrets.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        raise ManifestError(f"{name}:{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"{name}: not YAML: {error}") from error
    try:
        value = model.validate_python(empty if document is None else document)
    except ValidationError as error:
        found = error.errors()
        if found[0]["loc"] == () and found[0]["type"] in WRONG_SHAPE:
            raise ManifestError(f"{name}:1: {shape}") from None
        raise ManifestError(_describe(name, root, [(_place(each), each["msg"]) for each in found])) from None
    problems = [] if check is None else list(check(value))
    if problems:
        raise ManifestError(_describe(name, root, problems))
    return value


def _place(error: ErrorDetails) -> Place:
    """Where it is; a model's validator may know it better than pydantic."""
    cause = error.get("ctx", {}).get("error")
    return (*error["loc"], *(cause.place if isinstance(cause, FieldError) else ()))


def _describe(name: str, root: yaml.Node | None, problems: Iterable[tuple[Place, str]]) -> str:
    return "\n".join(_line(name, root, place, message) for place, message in problems)


def _line(name: str, root: yaml.Node | None, place: Place, message: str) -> str:
    field = "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in place).lstrip(".")
    line = max((node.start_mark.line for node in _nodes(root, place)), default=0) + 1
    return f"{name}:{line}: {field or 'manifest'}: {message.removeprefix('Value error, ')}"


def _shown(step: str) -> str:
    """No field of ours is that long: it may be a secret in the wrong place."""
    return step if len(step) <= LONGEST_FIELD else f"{step[:8]}…"


def _nodes(node: yaml.Node | None, place: Place) -> Iterator[yaml.Node]:
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
