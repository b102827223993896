"""Property tests draw the same examples in every run and have no deadline: the cores are noisy."""

from hypothesis import settings

settings.register_profile("riverrun", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("riverrun")
