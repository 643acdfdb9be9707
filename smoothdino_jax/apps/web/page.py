"""The page itself, by Gradio: what is on it, and the server behind it.

One model, one user at a time: every take runs under one concurrency id, so who comes second waits in Gradio's queue
and sees the place there. All that is stored lies in one temporary folder, a folder per browser tab within it, removed
with the tab and at the end.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import gradio as gr

from smoothdino_jax.apps.web.actions import Actions
from smoothdino_jax.apps.web.uploads import ENDINGS, Limits
from smoothdino_jax.apps.web.viewer import viewer
from smoothdino_jax.data.frames import DataError

_GETTING_READY = 300  # seconds, more than any model takes
_CAMERA = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}}}
_CSS = (files("smoothdino_jax.apps.web") / "page.css").read_text("utf-8")


def build(actions: Actions, checkpoints: Sequence[str], limits: Limits) -> gr.Blocks:
    """Lays the page out.

    Args:
        actions: what its buttons do.
        checkpoints: model folders to choose from; the first is chosen.
        limits: told on the page.
    """
    once = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    with gr.Blocks(title="SmoothDINO", analytics_enabled=False, fill_width=True, delete_cache=(600, 7200)) as demo:
        gr.Markdown("# SmoothDINO\nMetric depth of a video, each frame alone and smoothed in time.", elem_id="title")
        with gr.Row():
            with gr.Column(scale=3, min_width=280), gr.Tabs():
                with gr.Tab("Video"):
                    file = gr.File(
                        label=f"Video, up to {limits.megabytes:g} MB and {limits.seconds:g} s",
                        file_types=list(ENDINGS),
                        height=150,
                        elem_id="file",
                    )
                    with gr.Row():
                        start = gr.Button("Start", variant="primary", interactive=False, elem_id="start", min_width=100)
                        stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="stop", min_width=100)
                with gr.Tab("Webcam"):
                    camera = gr.Image(
                        label=f"Webcam, {limits.seconds:g} s a turn",
                        sources=["webcam"],
                        streaming=True,
                        format="jpeg",
                        height=240,
                        webcam_options=gr.WebcamOptions(mirror=False, constraints=_CAMERA),
                        elem_id="camera",
                    )
            with gr.Column(scale=2, min_width=240):
                checkpoint = gr.Dropdown(
                    list(checkpoints), value=checkpoints[0], label="Checkpoint", elem_id="checkpoint"
                )
                download = gr.DownloadButton(
                    "Download raw depth", interactive=False, elem_id="download", variant="secondary"
                )
                gr.Markdown(
                    "The raw depth is a ZIP of 16-bit PNGs in millimetres. "
                    "Videos and depth stay on the machine that shows this page, and are removed with this tab."
                )
        queue = gr.Markdown("", elem_id="queue")  # where Gradio tells the place in it
        screen = viewer(limits)

        one_at_a_time = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
        one_at_a_time |= {"show_progress": "minimal", "show_progress_on": queue}
        file.upload(actions.upload, file, [screen, start], preprocess=False, **once)
        file.clear(actions.remove, None, [screen, start], **once)
        started = start.click(actions.ready, None, [screen, start, stop, download], **once)
        seen = started.then(actions.watch, checkpoint, [screen, download], **one_at_a_time)
        seen.then(actions.rest, None, [start, stop], **once)
        stop.click(actions.stop, None, None, **once)
        camera.stream(
            actions.see,
            [camera, checkpoint],
            [screen, download],
            stream_every=0.1,
            # The turn is ended by `see`, which knows when the model was ready; this is for who doesn't stop then.
            time_limit=round(limits.seconds) + _GETTING_READY,
            **one_at_a_time,
        ).then(actions.finish, None, [screen, download], **once)
        demo.unload(actions.leave)
    return demo


@contextmanager
def serve(
    checkpoints: Sequence[str],
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    short_side: int | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    browser: bool = False,
) -> Iterator[gr.Blocks]:
    """Serves the page while the context lasts.

    Args:
        checkpoints: model folders to choose from; the first is chosen.
        limits: of each user.
        short_side: of what the models see; None for what each is at home with.
        host: address to listen on.
        port: None for one that is free.
        browser: open the page in a browser.

    Yields:
        The page; `local_url` is where it is, `block_thread()` waits for Ctrl-C.

    Raises:
        DataError: the port is taken.
    """
    root = Path(tempfile.mkdtemp(prefix="smoothdino_web_"))
    before = os.environ.get("GRADIO_TEMP_DIR")
    os.environ["GRADIO_TEMP_DIR"] = str(root)  # where uploads land first; Gradio knows no other way to say so
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    actions = Actions(root, limits, short_side)
    demo = build(actions, checkpoints, limits)
    try:
        try:
            demo.launch(
                server_name=host,
                server_port=port,
                inbrowser=browser,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=int(limits.megabytes * 2**20),
                ssr_mode=False,
                enable_monitoring=False,
                run_history=False,
                mcp_server=False,
                pwa=False,
                footer_links=[],
                theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
                css=_CSS,
            )
        except OSError as error:
            raise DataError(f"{host}:{port} can't be opened, or is taken: choose another --port") from error
        yield demo
    finally:
        actions.close()  # first: takes end while Gradio closes
        demo.close(verbose=False)
        shutil.rmtree(root, ignore_errors=True)
        if before is None:
            del os.environ["GRADIO_TEMP_DIR"]
        else:
            os.environ["GRADIO_TEMP_DIR"] = before
