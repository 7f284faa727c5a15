"""Property tests look for wrong answers, not for slow ones: this machine may be busy with something else. At a desk
they draw new examples each time, in CI the same ones, so that a red CI means a change and not the dice.
"""

import os

from hypothesis import settings

settings.register_profile("weir", deadline=None)
settings.register_profile("ci", settings.get_profile("weir"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "weir")
