"""Applies to every test: examples drawn by hypothesis may take their time.

Its limit of 200 ms for each example measures the machine, not the code; a file's own limit stands.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
