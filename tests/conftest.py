"""Property tests look for wrong answers, not for slow ones: this machine may be busy with something else."""

from hypothesis import settings

settings.register_profile("weir", deadline=None)
settings.load_profile("weir")
