"""What a file of YAML documents has in it for Kubernetes: the checks of `kubectl apply`, without a cluster.

Rules: documents of other kinds are passed by, and said so; as strict as the API server, so no text for a number, no
empty field and no key twice; `status` is the operator's and not looked at. One line per problem, with file and line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import yaml
from pydantic import PlainValidator, TypeAdapter

from weir_api.manifest import SHAPE, ManifestError, Place, parse
from weir_api.rules import NO_KEYS_FILE
from weir_api.v1alpha1 import StreamingPipeline

NULL = "tag:yaml.org,2002:null"
Answer = Literal["valid", "invalid", "skipped"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one document; `says` is for people, one line or more."""

    answer: Answer
    says: str


def verdicts(text: str, name: str) -> list[Verdict]:
    """One for each document of `text` that is not empty; `name` is what the file is called."""
    try:
        documents = list(_documents(text))
    except yaml.MarkedYAMLError as error:
        line = 1 if error.problem_mark is None else error.problem_mark.line + 1
        return [Verdict("invalid", f"{name}:{line}: not YAML: {error.problem}")]
    except (yaml.YAMLError, RecursionError) as error:
        return [Verdict("invalid", f"{name}: not YAML: {error}")]
    found = [_verdict(part, root, name) for part, root in documents]
    if any(verdict.answer != "skipped" for verdict in found):
        return found
    return [*found, Verdict("invalid", f"{name}: there is no StreamingPipeline in it")]


def _documents(text: str) -> Iterator[tuple[str, yaml.Node]]:
    """Each document alone, with as many empty lines before it as there are lines in the file, and its root."""
    roots = [root for root in yaml.compose_all(text, Loader=yaml.SafeLoader) if root.value]
    begins = [event.start_mark for event in yaml.parse(text) if isinstance(event, yaml.DocumentStartEvent)]
    starts = [mark for mark in begins if mark is not None]
    for root in roots:
        begin = [mark for mark in starts if mark.index <= root.start_mark.index][-1]
        end = next((mark.index for mark in starts if mark.index > root.start_mark.index), len(text))
        yield "\n" * begin.line + text[begin.index : end], root


def _verdict(text: str, root: yaml.Node, name: str) -> Verdict:
    line = root.start_mark.line + 1
    kind = _get(root, "kind")
    if isinstance(kind, yaml.ScalarNode) and kind.tag != NULL and kind.value != "StreamingPipeline":
        return Verdict("skipped", f"{name}:{line}: skipped, it is a {kind.value}")
    if problems := [*_careless(root), *_missing(root)]:
        return Verdict("invalid", "\n".join(f"{name}:{at}: {what}" for at, what in problems))
    try:
        pipeline = parse(text, name, KUBERNETES, SHAPE, check=_check)
    except ManifestError as error:
        return Verdict("invalid", str(error))
    return Verdict("valid", f"{name}:{line}: {pipeline.metadata.name} is valid")


def _get(node: yaml.Node | None, key: str) -> yaml.Node | None:
    entries = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for found, value in entries if found.value == key), None)


def _missing(root: yaml.Node) -> Iterator[tuple[int, str]]:
    """What Kubernetes asks for and `weir serve` does not."""
    if not isinstance(root, yaml.MappingNode):
        return
    for key in ("apiVersion", "kind"):
        if _get(root, key) is None:
            yield root.start_mark.line + 1, f"{key}: is missing"
    metadata = _get(root, "metadata")
    if _get(metadata, "name") is None and _get(metadata, "generateName") is None:
        yield (metadata or root).start_mark.line + 1, "metadata.name: is missing"


def _careless(root: yaml.Node) -> Iterator[tuple[int, str]]:
    """Line and field of each key that its mapping has already, and of each that has nothing: the API server takes
    neither, and YAML's readers both without a word.
    """
    seen: set[tuple[int, str]] = set()  # mapping and key
    for mapping, key, value, field in _fields(root):
        if (mapping, key.value) in seen:
            yield key.start_mark.line + 1, f"{field}: is there twice"
        seen.add((mapping, key.value))
        if value.tag == NULL and field.split(".")[0] == "spec":
            yield key.start_mark.line + 1, f"{field}: is empty; give a value or leave it out"


def _fields(root: yaml.Node) -> Iterator[tuple[int, yaml.ScalarNode, yaml.Node, str]]:
    """The fields of all mappings: identity of the mapping, key, value, and path; what aliases repeat, once."""
    waiting, visited = [(root, "")], set()
    while waiting:
        node, path = waiting.pop(0)
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(entry, f"{path}[{place}]") for place, entry in enumerate(node.value)]
        for key, value in node.value if isinstance(node, yaml.MappingNode) else []:
            if isinstance(key, yaml.ScalarNode):
                field = f"{path}.{key.value}".lstrip(".")
                waiting.append((value, field))
                yield id(node), key, value, field


def _as_the_api_server(document: Any) -> StreamingPipeline:
    known = document
    if isinstance(document, dict):
        known = {key: value for key, value in document.items() if key != "status"}
    return StreamingPipeline.model_validate(known, strict=True)


def _check(pipeline: StreamingPipeline) -> Iterator[tuple[Place, str]]:
    """What is right on one machine and wrong in Kubernetes."""
    if pipeline.spec.auth is not None and pipeline.spec.auth.keys_file is not None:
        yield ("spec", "auth", "keysFile"), NO_KEYS_FILE


KUBERNETES = TypeAdapter[StreamingPipeline](Annotated[StreamingPipeline, PlainValidator(_as_the_api_server)])
