"""Settings of the whole suite."""

from hypothesis import HealthCheck, settings

# The same examples on every machine, and no clock: a slow machine is not a bug.
settings.register_profile(
    "same everywhere",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same everywhere")
