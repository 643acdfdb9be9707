"""The webcam and the tabs of several users behind the page, without a browser."""

import json
import types

import numpy as np
import pytest
from video_files import SIZE, clip
from web_takes import TINY, clip_bytes, stored

from smoothdino_jax.apps.web.take import Models
from smoothdino_jax.apps.web.uploads import Limits
from smoothdino_jax.stream import Stream

pytest.importorskip("gradio", reason="gradio is not installed: pip install -e .[web]")

import gradio

import smoothdino_jax.apps.web.actions as actions_module
from smoothdino_jax.apps.web.actions import Actions

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # Gradio's, see web_page.py


@pytest.fixture(scope="module")
def models():
    """One for all tests, so that the program for the clip is compiled once."""
    return Models()


@pytest.fixture(scope="module")
def video_bytes(tmp_path_factory):
    return clip_bytes(tmp_path_factory.mktemp("clip"))


def tab(name):
    return types.SimpleNamespace(session_hash=name)


@pytest.fixture
def actions(tmp_path, models):
    actions = Actions(tmp_path, Limits(), None)
    actions._models = models
    yield actions
    actions.close()
    assert list(tmp_path.iterdir()) == []


def frame_of(result):
    return json.loads(result[0])["frame"]


def test_the_webcam_is_one_take_until_it_is_turned_off(actions):
    frames = clip(4)
    assert "ready" in json.loads(actions.see(frames[0], TINY, tab("a"))[0])["message"]
    shown = [frame_of(actions.see(frame, TINY, tab("a"))) for frame in frames]
    assert [frame["number"] for frame in shown] == [0, 1, 2, 3]
    assert shown[0]["shift"]["dx"] == 0
    assert shown[3]["shift"]["dx"] == pytest.approx(-2, abs=0.3)
    message, download = actions.finish(tab("a"))
    assert json.loads(message)["kind"] == "done"
    assert len(stored(download["value"])) == 4
    assert download["interactive"]
    assert json.loads(actions.finish(tab("a"))[0])["message"] == "webcam off"


def test_a_webcam_whose_model_another_user_had_starts_anew(actions):
    frames = clip(4)
    for frame in [frames[0], *frames]:
        mine = actions.see(frame, TINY, tab("a"))
    for frame in [frames[0], *frames[:2]]:
        other = actions.see(frame, TINY, tab("b"))
    assert (frame_of(mine)["number"], frame_of(other)["number"]) == (3, 1)
    assert frame_of(actions.see(frames[0], TINY, tab("a"))) is None
    assert frame_of(actions.see(frames[0], TINY, tab("a")))["number"] == 0


def test_a_webcam_that_changes_its_size_or_is_grey_goes_on(actions):
    grey = clip(1)[0][..., 0]
    actions.see(grey, TINY, tab("a"))
    assert frame_of(actions.see(grey, TINY, tab("a")))["size"] == list(SIZE)
    turned = clip(1, SIZE[::-1])[0]
    assert frame_of(actions.see(turned, TINY, tab("a"))) is None
    assert frame_of(actions.see(turned, TINY, tab("a")))["number"] == 0
    dot = np.zeros((1, 1, 3), np.uint8)
    actions.see(dot, TINY, tab("a"))
    assert json.loads(actions.see(dot, TINY, tab("a"))[0])["kind"] == "error"


def test_a_turn_begins_when_the_model_is_ready_and_what_comes_after_it_is_refused(actions, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(actions_module, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    warm_up = Stream.warm_up

    def slowly(*arguments):
        now[0] += 1000
        warm_up(*arguments)

    monkeypatch.setattr(Stream, "warm_up", slowly)
    frame = clip(1)[0]
    message, _ = [actions.see(frame, TINY, tab("a")) for _ in range(2)][-1]
    assert json.loads(message)["message"] == "webcam, 120 s left of this turn"
    now[0] += 119
    message, _ = [actions.see(frame, TINY, tab("a")) for _ in range(2)][-1]  # the pause before made it a new take
    assert json.loads(message)["message"] == "webcam, 1 s left of this turn"
    now[0] += 2
    for _ in range(3):  # until the browser has stopped
        message, download = actions.see(frame, TINY, tab("a"))
        over = json.loads(message)
        assert over["message"] == "your turn is over: its depth can be downloaded; press Record for another"
        assert (over["kind"], over["stop"], over["frame"]) == ("done", True, None)
        assert len(stored(download["value"])) == 1
    assert actions.finish(tab("a")) == (gradio.skip(), gradio.skip())  # nothing is taken back
    assert len(stored(download["value"])) == 1
    assert "ready" in json.loads(actions.see(frame, TINY, tab("a"))[0])["message"]
    assert json.loads(actions.see(frame, TINY, tab("a"))[0])["message"] == "webcam, 120 s left of this turn"


def test_a_webcam_without_a_model_is_stopped_and_keeps_the_message(actions):
    frame = clip(1)[0]
    message, _ = [actions.see(frame, "nowhere", tab("a")) for _ in range(2)][-1]
    error = json.loads(message)
    assert (error["kind"], error["stop"]) == ("error", True)
    assert "nowhere" in error["message"]
    assert actions.finish(tab("a")) == (gradio.skip(), gradio.skip())


def test_a_tab_that_is_closed_leaves_nothing(actions, video_bytes, tmp_path):
    (tmp_path / "hash").mkdir()
    file = tmp_path / "hash" / "walk.mp4"
    file.write_bytes(video_bytes)
    actions.upload({"path": str(file), "orig_name": "walk.mp4"}, tab("a"))
    running = actions.watch(TINY, tab("a"))
    for message, _ in running:
        if frame_of((message,)):
            break
    assert len(list(tmp_path.iterdir())) == 1
    actions.leave(tab("a"))
    assert list(tmp_path.iterdir()) == []
    assert json.loads(list(running)[-1][0])["kind"] != "info"  # and what ran has ended
    assert list(tmp_path.iterdir()) == []
