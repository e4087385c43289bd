"""The helpers of this folder assert, too, and have to say as much when they fail."""

import pytest

pytest.register_assert_rewrite(*(f"tests.matrix.{name}" for name in ("films", "sellers", "speakers", "world")))
