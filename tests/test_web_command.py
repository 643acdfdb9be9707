"""The page's server, without a browser, and the command `smoothdino web`."""

import argparse
import os
import socket
from pathlib import Path

import pytest
from web_takes import TINY

import smoothdino_jax.apps.web.command as command
from smoothdino_jax.apps.web.uploads import ENDINGS, Limits
from smoothdino_jax.data.frames import DataError

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")

from web_page import served

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's, see web_page.py


def test_the_server_listens_here_alone_and_leaves_nothing(monkeypatch):
    asked, find = set(), socket.getaddrinfo

    def watched(host, *arguments, **options):
        asked.add(host)
        return find(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    before = os.environ.get("GRADIO_TEMP_DIR")
    with served([TINY]) as demo:
        root = Path(os.environ["GRADIO_TEMP_DIR"])
        assert root.is_dir()
        assert demo.local_url.startswith("http://127.0.0.1:")
        assert not demo.analytics_enabled
        assert demo.share_url is None
        (box,) = (block for block in demo.blocks.values() if block.elem_id == "file")
        assert set(box.file_types) == set(ENDINGS)  # what can be read can be chosen
        port = int(demo.local_url.rsplit(":", 1)[1].strip("/"))
        folders = set(root.parent.glob("smoothdino_web_*"))
        with pytest.raises(DataError, match="is taken"), served([TINY], port=port):
            pass
        assert set(root.parent.glob("smoothdino_web_*")) <= folders
    assert not root.exists()
    assert os.environ.get("GRADIO_TEMP_DIR") == before
    assert asked - {None} <= {"127.0.0.1", "localhost"}


def start(*arguments):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers(dest="command"))
    args = parser.parse_args(["web", *map(str, arguments)])
    args.run(args)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--checkpoint", "nowhere"], "no model folder nowhere"),
        (["--port", 0], "--port 0"),
        (["--size", 13], "one patch"),
        (["--max-mb", 0], "--max-mb 0"),
        (["--max-seconds", "nan"], "--max-seconds nan"),
    ],
)
def test_bad_arguments_are_one_line_before_anything_starts(arguments, why):
    with pytest.raises(DataError, match=why) as error:
        start(*arguments)
    assert "\n" not in str(error.value)


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"pip install smoothdino-jax\[web\]"):
        start()


@pytest.mark.parametrize("busy", [False, True])
def test_a_page_that_ends_does_not_wait_for_its_model(monkeypatch, busy):
    import smoothdino_jax.apps.web.page as page
    import smoothdino_jax.apps.web.take as take

    def serve(*arguments, **options):
        raise KeyboardInterrupt

    left = []
    monkeypatch.setattr(page, "serve", serve)
    monkeypatch.setattr(take, "working", lambda: busy)
    monkeypatch.setattr(command.os, "_exit", left.append)
    start()
    assert left == [0] * busy


def test_the_command_serves_until_it_is_interrupted_and_warns_where_others_can_reach_it(monkeypatch, capsys):
    import smoothdino_jax.apps.web.page as page

    served = []

    class Served:
        def __init__(self, *arguments, **options):
            served.append((arguments, options))

        def __enter__(self):
            raise KeyboardInterrupt

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(page, "serve", Served)
    start("--host", "0.0.0.0", "--max-mb", 5, "--size", 28)
    ((checkpoints, limits), options) = served[0]
    assert checkpoints == [TINY]
    assert limits == Limits(5, 120)
    assert (options["host"], options["short_side"], options["browser"]) == ("0.0.0.0", 28, False)
    assert "no password" in capsys.readouterr().err
    start()
    assert served[1][1]["host"] == "127.0.0.1"
    assert "no password" not in capsys.readouterr().err
