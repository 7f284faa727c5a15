"""A cluster in which some objects are."""


class Existing:
    """A cluster in which some objects are, and what was asked."""

    def __init__(self, *there, objects=None):
        self.there, self.objects, self.asked = set(there), objects or {}, []

    async def exists(self, kind, namespace, name):
        self.asked.append((kind, name))
        return (kind, name) in self.there

    async def get(self, kind, namespace, name):
        self.asked.append((kind, name))
        return self.objects.get((kind, name))
