"""The page itself: a tab for each craft, with a file, one network or two, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from apps.pose.data.dataset import read_image
from core.errors import InputError
from page.crafts.craft import LIMIT, Answer, Craft
from page.working import Desk

TITLE = "Mixer"
BUTTONS = ["download", "fullscreen"]  # of pictures; not the one that shares them
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "networks"}  # so that memory is bounded


def build_page(crafts: Sequence[Craft], desk: Desk) -> gr.Blocks:
    """The page, not yet served. It sends nothing to anybody."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Mixer\nDrop a file, choose a network, and a second one to compare it with.")
        for craft in crafts:
            with gr.Tab(craft.name):
                _tab(craft, desk)
    return page


def _tab(craft: Craft, desk: Desk) -> None:
    choices = desk.networks.choices(craft)
    if not choices:
        gr.Markdown(
            f"No network is kept for this, and no run lies in {desk.networks.root.name}/{craft.app}"
            f": `{craft.command}` makes one; then type its folder."
        )
    with gr.Row():
        with gr.Column():
            file = gr.File(label=craft.takes, height=140)
            second = gr.File(label=craft.second, height=100, visible=bool(craft.second))
            picture = _preview_picture(craft)
        with gr.Column():
            pick = partial(gr.Dropdown, ["", *choices], allow_custom_value=True, interactive=True)
            first = pick(value=choices[0] if choices else "", label="network, or folder of a run")
            beside = pick(value="", label="beside it")
            said = _field(craft)
            button = gr.Button("Go", variant="primary")
    if craft.boxes:
        _clicks(file, picture, said)
    with gr.Row():
        columns = [_column(craft, visible) for visible in (True, False)]
    inputs, outputs = [file, first, beside, said, second], [part for c in columns for part in c]
    work = partial(_work, craft, desk)
    button.click(work, inputs, outputs, api_name=craft.app, **ONE_AT_A_TIME)


def _preview_picture(craft: Craft) -> gr.Image | None:
    """Where a photograph is shown, so that boxes can be clicked in it."""
    label = "two clicks are two corners of a person's box"
    return gr.Image(label=label, interactive=False, height=360, buttons=[]) if craft.boxes else None


def _field(craft: Craft) -> gr.components.Component:
    if craft.choices:
        return gr.Dropdown(list(craft.choices), value=craft.choices[0], label=craft.field)
    return gr.Textbox(label=craft.field, visible=bool(craft.field), lines=3 if craft.boxes else 1)


def _column(craft: Craft, visible: bool) -> list[gr.blocks.Block]:
    """Where one network's answer goes: words, pictures, a figure, files; and all of it."""
    with gr.Column(visible=visible) as column:
        return [
            gr.Markdown(),
            gr.Gallery(label="pictures", object_fit="contain", format="png", buttons=BUTTONS),
            gr.Plot(label="turn it with the mouse", visible=craft.three_d),
            gr.File(label="results", file_count="multiple", interactive=False),
            column,
        ]


def _work(craft: Craft, desk: Desk, file, first, beside, said, second) -> list[Any]:
    """The parts of both columns. What cannot be used is one line in the page."""
    words = [first or "", beside or ""]
    try:
        if not any(words):
            raise InputError(f"choose a network, or make one: {craft.command}")
        answers = desk.answers(craft, file, words, said or "", second)
    except InputError as error:
        raise gr.Error(
            str(error), duration=None, title="Not usable", print_exception=False
        ) from None
    return [part for answer in answers for part in _parts(answer)]


def _parts(answer: Answer | None) -> list[Any]:
    """What goes into a column; without an answer it is not seen."""
    if answer is None:
        return ["", None, None, None, gr.update(visible=False)]
    pictures = [(str(path), caption) for path, caption in answer.pictures]
    files = [str(path) for path in answer.files]
    # the first one opened: the overview of a gallery cuts what is no square
    shown = gr.update(value=pictures, selected_index=0, visible=True)
    shown = shown if pictures else gr.update(value=None, visible=False)
    return [answer.words, shown, answer.figure, files, gr.update(visible=True)]


def _clicks(file: gr.File, picture: gr.Image, said: gr.Textbox) -> None:
    """The photograph is shown, and two clicks in it are a line of the boxes."""
    corner = gr.State(None)
    hidden = {"api_visibility": "private"}
    file.change(_preview, file, [picture, corner, said], **hidden, **ONE_AT_A_TIME)
    picture.select(_corner, [corner, said], [corner, said], **hidden)


def _preview(file: str | None) -> tuple[np.ndarray | None, None, str]:
    """The file as a picture, where it is one: of another the answer says why."""
    try:
        return read_image(file or "", LIMIT), None, ""
    except Exception:
        return None, None, ""


def _corner(corner: list[int] | None, said: str, click: gr.SelectData) -> tuple[Any, str]:
    """The first corner is kept; the second one ends a line with the box."""
    if corner is None:
        return list(click.index), said
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(corner, click.index, strict=True))
    lines = [*(said or "").splitlines(), f"{left} {top} {right - left} {bottom - top}"]
    return None, "\n".join(lines)
