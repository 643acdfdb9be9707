"""What the command `smoothdino` says of arguments that it does not know."""

import pytest

from smoothdino_jax.apps.cli import main


@pytest.mark.parametrize(
    ("arguments", "command", "message"),
    [
        (["video", "a.mp4", "--compaer"], "smoothdino video", "unrecognized arguments: --compaer\n"),
        (["video", *"abcde"], "smoothdino video", "unrecognized arguments: b c d and 1 more (a pattern of files needs"),
        (["data", "inspect", "a", "--foo"], "smoothdino data inspect", "unrecognized arguments: --foo\n"),
    ],
)
def test_unknown_arguments_are_told_under_the_usage_of_their_command(capsys, arguments, command, message):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: {command} ")
    assert f"{command}: error: {message}" in error
