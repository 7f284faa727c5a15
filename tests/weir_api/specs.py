"""Specs drawn from the resource's own schema: mostly of the right shape, with values at the edges of their ranges."""

import re
from typing import Any

from hypothesis import strategies as st

from weir_api.crd import spec_schema

WORDS = (
    "a", "b-c", "small", "embedded://small", "hf://a/b", "1Gi", "500m", "en", "A_B", "team", "a.b/c", "weir.dev/a",
    "x/y/z", "http://collector:4318", "WEIR_POD_UID", "tmp", "keys.yaml", "*.example.com", "", " ", "ö", "a" * 254,
)  # fmt: skip
Schema = dict[str, Any]


def specs() -> st.SearchStrategy[dict[str, Any]]:
    return _values(spec_schema())


def _values(schema: Schema) -> st.SearchStrategy[Any]:
    match schema:
        case {"enum": values}:
            return st.sampled_from(values)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "integer", "minimum": low, "maximum": high}:
            return st.sampled_from([low, low + 1, (low + high) // 2, high - 1, high]) | st.integers(low - 1, high + 1)
        case {"type": "string"}:
            right = [word for word in WORDS if _fits(word, schema)]
            return st.sampled_from([*right * 20, *WORDS])
        case {"type": "array", "items": items}:
            most = min(schema["maxItems"], 4)
            return st.lists(_values(items), min_size=schema.get("minItems", 0), max_size=most)
        case {"type": "object", "additionalProperties": values}:
            keys = st.sampled_from([*[word for word in WORDS if re.fullmatch("[a-z.]+(/[a-z]+)?", word)] * 9, *WORDS])
            return st.dictionaries(keys, _values(values), max_size=2)
        case {"type": "object"}:
            parts = {name: _values(part) for name, part in schema.get("properties", {}).items()}
            required = schema.get("required", ())
            return st.fixed_dictionaries(
                {name: part for name, part in parts.items() if name in required},
                optional={name: part for name, part in parts.items() if name not in required},
            )
    raise ValueError(f"no values for {schema}")


def _fits(word: str, schema: Schema) -> bool:
    length = schema.get("minLength", 0) <= len(word) <= schema["maxLength"]
    return length and re.search(schema.get("pattern", ""), word) is not None
