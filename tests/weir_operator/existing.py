"""A cluster in which some objects are."""


class Existing:
    """A cluster in which some objects are, and what was asked."""

    def __init__(self, *there, objects=None):
        self.there, self.objects, self.asked = set(there), objects or {}, []

    async def metadata(self, kind, namespace, name):
        self.asked.append((kind, name))
        found = self.objects.get((kind, name), {"kind": kind, "metadata": {"name": name, "uid": "uid-" + name}})
        return found if (kind, name) in self.there | set(self.objects) else None

    async def get(self, kind, namespace, name):
        self.asked.append((kind, name))
        return self.objects.get((kind, name))
