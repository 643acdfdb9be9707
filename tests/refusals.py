"""What can't be used is refused with a message that says what and why."""

import pytest

from smoothdino_jax.data import DataError


def assert_refused(function, *words) -> str:
    """The call fails with one DataError that has all the words; returns its message."""
    with pytest.raises(DataError) as caught:
        function()
    for word in words:
        assert str(word) in str(caught.value)
    return str(caught.value)
