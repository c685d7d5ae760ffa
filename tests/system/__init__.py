"""Whole servers, seen from outside: real processes, real clients, a real nginx."""

import pytest

# What these assert is asserted for every test; a failure must show its values.
pytest.register_assert_rewrite("tests.system.server", "tests.system.front", "tests.deadline")
