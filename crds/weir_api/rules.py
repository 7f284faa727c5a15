"""What the models' validators check, in Kubernetes' terms: CEL rules and list keys, by the model's name.

A check is written twice, as a validator for `weir validate` and as a rule for `kubectl apply`; tests/cluster shows that
they agree. Rules: a message names the fix, and the field that it is about is given apart; what may be absent is read
behind has(); text is joined by .format, which costs less than `+`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from weir_api.degradation import CLASSES, PARAMETERS, Rung
from weir_api.pod import RESERVED_ENV, RESERVED_LABELS, RESERVED_MOUNTS, RESERVED_PATHS, RESERVED_VOLUMES
from weir_api.v1alpha1 import LONGEST_NAME, NAME_PATTERN, NAME_RULE, StreamingPipelineSpec

# How errors begin. Not FieldValueInvalid: a rule sees the object around the field, and that is what would be printed.
Reason = Literal["FieldValueForbidden", "FieldValueRequired"]
NO_KEYS_FILE = "pods have no such file: put it into a Secret (docs/keys.md) and name that in auth.apiKeysSecretRef"


@dataclass(frozen=True, slots=True)
class Rule:
    """`says` is text, or with `of` a format for these CEL expressions; `field` the path that errors show."""

    rule: str
    says: str
    of: tuple[str, ...] = ()
    field: str = ""
    reason: Reason = "FieldValueForbidden"

    def as_schema(self) -> dict[str, Any]:
        """An entry of x-kubernetes-validations."""
        said = {"messageExpression": f"{_text(self.says)}.format([{', '.join(self.of)}])"} if self.of else {}
        said = said or {"message": self.says}
        return {"rule": self.rule, **said, "reason": self.reason} | ({"fieldPath": self.field} if self.field else {})


def _text(words: str) -> str:
    return "'" + words.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _list(words: Iterable[str]) -> str:
    return f"[{', '.join(map(_text, words))}]"


def _hysteresis(enter: str, recover: str) -> Rule:
    says = f"must be below {enter} (%d), or the ladder would swing"
    return Rule(f"self.{recover} < self.{enter}", says, (f"self.{enter}",), f".{recover}")


def _rung() -> Iterable[Rule]:
    """A rung has the fields of its action and no others."""
    for name in dict.fromkeys(name for names in PARAMETERS.values() for name in names):
        field = str(Rung.model_fields[name].alias)
        actions = _list(action for action, names in PARAMETERS.items() if name in names)
        rule = f"!has(self.{field}) || self.action in {actions}"
        yield Rule(rule, "%s has no such field; leave it out", ("self.action",), f".{field}")
    needing = _list(action for action, names in PARAMETERS.items() if "class_" in names)
    says = "%s needs the class that it concerns; add one of priorityClasses"
    rule = f"has(self.class) || !(self.action in {needing})"
    yield Rule(rule, says, ("self.action",), ".class", "FieldValueRequired")


def _offered() -> Iterable[Rule]:
    """A rung concerns a class that is offered. A rule for each, since a message that joins names costs too much."""
    for name in CLASSES:
        concerned = f"self.degradation.ladder.exists(rung, has(rung.class) && rung.class == '{name}')"
        rule = f"{LADDER}!has(self.priorityClasses) || self.priorityClasses.exists(entry, entry.name == '{name}') || "
        says = f"{name} is not among priorityClasses; add it there, or take its rungs out"
        yield Rule(f"{rule}!{concerned}", says, field=".degradation.ladder")


LADDER = "!has(self.degradation) || !has(self.degradation.ladder) || "
WAYS_IN = ("ingress", "gateway", "httpProxy")
ONE_WAY_IN = f"give one of {', '.join(WAYS_IN)}"
RESERVED = "self.priorityClasses.map(entry, entry.reservedStreams).sum()"
MOST = f"(has(self.admission) ? self.admission.maxStreams : {StreamingPipelineSpec().admission.max_streams})"
ACCELERATOR = "(has({0}.runtime) ? {0}.runtime.accelerator : 'cpu')"

SPEC = (
    Rule(
        f"!has(self.priorityClasses) || {RESERVED} <= {MOST}",
        "the classes reserve %d streams, more than admission.maxStreams (%d): raise that or reserve fewer",
        (RESERVED, MOST),
        ".priorityClasses",
    ),
    *_offered(),
    Rule(
        f"{LADDER}!has(self.model) || !has(self.model.variants) || size(self.model.variants) > 1 || "
        "!self.degradation.ladder.exists(rung, rung.action == 'smallerVariant')",
        "smallerVariant needs a second entry in model.variants",
        field=".degradation.ladder",
    ),
    Rule(
        f"{LADDER}(has(self.stages) && has(self.stages.postprocess) && size(self.stages.postprocess) > 0) || "
        "!self.degradation.ladder.exists(rung, rung.action == 'optionalStages')",
        "optionalStages needs an entry in stages.postprocess",
        field=".degradation.ladder",
    ),
    *(
        Rule(f"!has(self.{one}) || !has(self.{other})", f"{ONE_WAY_IN}; {one} is given too", field=f".{other}")
        for one, other in combinations(WAYS_IN, 2)
    ),
    Rule(
        f"{ACCELERATOR.format('self')} == {ACCELERATOR.format('oldSelf')}",
        "cannot be changed from %s to %s: make a new StreamingPipeline and move the clients to it",
        (ACCELERATOR.format("oldSelf"), ACCELERATOR.format("self")),
        ".runtime.accelerator",
    ),
)

RUNTIME = (
    Rule(
        f"!has(self.env) || !self.env.exists(entry, entry.name in {_list(RESERVED_ENV)})",
        f"{', '.join(RESERVED_ENV)} are set by the operator; leave them out",
        field=".env",
    ),
    Rule(
        f"!has(self.volumes) || !self.volumes.exists(entry, entry.name in {_list(RESERVED_VOLUMES)})",
        f"{', '.join(RESERVED_VOLUMES)} are Weir's own volumes; rename yours",
        field=".volumes",
    ),
    Rule(
        f"!has(self.volumeMounts) || !self.volumeMounts.exists(each, each.mountPath.matches({_text(RESERVED_PATHS)}))",
        f"{', '.join(RESERVED_MOUNTS)} are Weir's own; mount yours elsewhere",
        field=".volumeMounts",
    ),
    Rule(
        "!has(self.labels) || !self.labels.exists(key, "
        + " || ".join(f"key.startsWith({_text(prefix)})" for prefix in RESERVED_LABELS)
        + ")",
        f"labels under {' and '.join(RESERVED_LABELS)} are the operator's; leave them out",
        field=".labels",
    ),
)

RULES: dict[str, tuple[Rule, ...]] = {
    "StreamingPipelineSpec": SPEC,
    "Runtime": RUNTIME,
    "ModelCache": (
        Rule(
            "!has(self.persistentVolumeClaim) || !has(self.sizeLimit)",
            "a claim has its own size; leave sizeLimit out",
            field=".sizeLimit",
        ),
    ),
    "Vad": (
        Rule(
            "self.release < self.threshold",
            "release (%d) must be below threshold (%d)",
            ("self.release", "self.threshold"),
            ".release",
        ),
    ),
    "Threshold": (_hysteresis("enter", "recover"),),
    "PercentThreshold": (_hysteresis("enterPercent", "recoverPercent"),),
    "Rung": tuple(_rung()),
    "Scaling": (
        Rule(
            "self.minReplicas <= self.maxReplicas",
            "must not exceed maxReplicas (%d): raise that or lower this",
            ("self.maxReplicas",),
            ".minReplicas",
        ),
    ),
    "Auth": (
        Rule("!has(self.keysFile)", NO_KEYS_FILE, field=".keysFile"),
        Rule(
            "has(self.keysFile) || has(self.apiKeysSecretRef)",
            "name the Secret with the hashed API keys (docs/keys.md), or leave auth out",
            field=".apiKeysSecretRef",
            reason="FieldValueRequired",
        ),
    ),
}

NAME = Rule(
    f"size(self.metadata.name) <= {LONGEST_NAME} && self.metadata.name.matches('^{NAME_PATTERN}$')",
    NAME_RULE,
    field=".metadata.name",
)

# (model, field) of lists whose entries are told apart by one of their fields, and which field that is. Such entries are
# unique, and server-side apply knows whose each is.
LIST_KEYS: dict[tuple[str, str], str] = {
    ("Runtime", "env"): "name",
    ("Model", "variants"): "name",
    ("Variant", "cost"): "chunkMs",
    ("Stages", "postprocess"): "name",
    ("StreamingPipelineSpec", "priorityClasses"): "name",
    ("StreamingPipelineStatus", "conditions"): "type",
    ("StreamingPipelineStatus", "pods"): "name",
}


def key_rule(longest: int, pattern: str) -> Rule:
    """A map's keys cannot be bounded by a schema, only by a rule."""
    rule = f"self.all(key, size(key) <= {longest} && key.matches({_text(pattern)}))"
    return Rule(rule, f"keys have at most {longest} characters and match {pattern}")
