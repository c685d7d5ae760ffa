"""The tests of forkhttp; folders mirror its layers."""

import pytest

# Their assertions are to show what they compared, like those of the tests.
pytest.register_assert_rewrite(
    "tests.deadline", "tests.master.running", "tests.server.serving", "tests.system", "tests.wire.delivery"
)
