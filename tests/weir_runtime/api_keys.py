"""Files of API keys, as the tests of keys write them."""

import json

from weir_runtime.front.keys import digest

OFFERED = ("interactive", "standard", "batch")
KEY, OTHER = "weir_first", "weir_second"


def entry(key, tenant="acme", highest="standard", **quota):
    return {"sha256": digest(key), "tenant": tenant, "class": highest} | quota


def write(path, *entries):
    """As an editor does: a new file in the place of the old one."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(entries))  # JSON is YAML
    fresh.replace(path)
