"""What errors say."""

import pytest

from tristance.data.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n broken \nat line 3"), "broken "),
        (ValueError(), "ValueError"),
        (KeyError("name"), "'name'"),
        (RuntimeError(" \n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error(error, line):
    assert first_line(error) == line
