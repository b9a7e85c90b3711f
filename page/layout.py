"""The page itself: a tab for each craft, with a file, one network or two, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from core.errors import InputError
from page.crafts.craft import WITHOUT, Answer, Craft
from page.working import Desk

TITLE = "Mixer"
BUTTONS = ["download", "fullscreen"]  # of pictures; not the one that shares them
PICTURES = 3  # of an answer, at most
EMPTY = "*What comes out stands here.*"
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "networks"}  # so that memory is bounded
HIDDEN = {"api_visibility": "private"}
CSS = """
.picture { padding-top: 2rem }
.picture img { object-fit: contain; width: 100%; height: auto; max-height: 28rem }
.results .label-clear-button { display: none }
"""  # no label on a picture; results are there to be taken, not to be put away


def build_page(crafts: Sequence[Craft], desk: Desk) -> gr.Blocks:
    """The page, not yet served. It sends nothing to anybody."""
    choices = [desk.networks.choices(craft) for craft in crafts]
    ready = [craft.app for craft, some in zip(crafts, choices, strict=True) if some]
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown("# Mixer\nDrop a file, choose a network, and a second one to compare it with.")
        with gr.Tabs(selected=(ready or [crafts[0].app])[0]):
            for craft, some in zip(crafts, choices, strict=True):
                with gr.Tab(craft.name, id=craft.app):
                    _tab(craft, some, desk)
    return page


def _tab(craft: Craft, choices: list[str], desk: Desk) -> None:
    if not choices:
        gr.Markdown(
            f"No network is kept for this, and no run lies in {desk.networks.root.name}/{craft.app}"
            f": `{craft.command}` makes one; then type its folder."
        )
    with gr.Row():
        with gr.Column():
            file = gr.File(label=craft.takes, height=140)
            second = gr.File(label=craft.second, height=140, visible=bool(craft.second))
            sample = gr.Button("Take a sample", size="sm", visible=bool(craft.samples))
            picture = _preview_picture(craft)
        with gr.Column():
            pick = partial(gr.Dropdown, ["", *choices], allow_custom_value=True, interactive=True)
            first = pick(value=choices[0] if choices else "", label="network, or folder of a run")
            beside = pick(value="", label="a second one beside it, if wanted")
            said = _field(craft)
            button = gr.Button("Go", variant="primary")
    _previews(craft, file, said, picture)
    sample.click(partial(_sample, craft, desk), None, [file, second, said], **HIDDEN)
    with gr.Row():
        columns = [_column(craft, shown) for shown in (True, False)]
    inputs, outputs = [file, first, beside, said, second], [part for c in columns for part in c]
    work = partial(_work, craft, desk)
    button.click(work, inputs, outputs, api_name=craft.app, **ONE_AT_A_TIME)


def _preview_picture(craft: Craft) -> gr.Image:
    """Where the file is shown, so that boxes can be clicked in it."""
    label = "two clicks are two corners of a person's box" if craft.clicked else "the picture"
    return gr.Image(
        label=label, interactive=False, height=360, buttons=[], format="jpeg", visible=False
    )


def _field(craft: Craft) -> gr.components.Component:
    if craft.choices:
        return gr.Dropdown(list(craft.choices), value=craft.choices[0], label=craft.field)
    return gr.Textbox(label=craft.field, visible=bool(craft.field), lines=3 if craft.clicked else 1)


def _column(craft: Craft, shown: bool) -> list[gr.blocks.Block]:
    """Where one network's answer goes: words, pictures, a figure, files; and all of it."""
    with gr.Column(visible=shown) as column:
        words = gr.Markdown(EMPTY, min_height=60)
        look = {"buttons": BUTTONS, "visible": False, "elem_classes": "picture"}
        pictures = [gr.Image(interactive=False, **look) for _ in range(PICTURES)]
        figure = gr.Plot(label="turn it with the mouse", visible=False)
        files = gr.File(
            label="results", file_count="multiple", visible=False, elem_classes="results"
        )
    return [words, *pictures, figure, files, column]


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
    ways = [f"by {word}" if word != WITHOUT else "without a network" for word in words]
    titles = [f"**{Path(file).name}**, {way}" for way in ways]
    return [part for pair in zip(titles, answers, strict=True) for part in _parts(*pair)]


def _parts(title: str, answer: Answer | None) -> list[Any]:
    """What goes into a column; without an answer it is not seen."""
    if answer is None:
        return [EMPTY, *[gr.update(value=None, visible=False)] * (PICTURES + 2), _seen(False)]
    shown = [
        gr.update(value=str(path), label=caption, show_label=bool(caption), visible=True)
        for path, caption in answer.pictures
    ]
    shown += [gr.update(value=None, visible=False)] * (PICTURES - len(shown))
    figure = gr.update(value=answer.figure, visible=answer.figure is not None)
    files = gr.update(value=[str(path) for path in answer.files], visible=True)
    return [f"{title}\n\n{answer.words}", *shown, figure, files, _seen(True)]


def _seen(visible: bool) -> dict[str, Any]:
    return gr.update(visible=visible)


def _previews(craft: Craft, file: gr.File, said: gr.components.Component, picture) -> None:
    """The file is shown where it is a picture, with the boxes that clicks in it make."""
    if craft.preview is None:
        return
    events = {**HIDDEN, **ONE_AT_A_TIME, "show_progress": "hidden"}
    gr.on([file.upload, file.clear], lambda: "", None, said, **HIDDEN)  # boxes of another picture
    shown = partial(_preview, craft)
    gr.on([file.change, said.change], shown, [file, said], picture, **events)

    def click(words: str, place: gr.SelectData) -> str:
        return craft.clicked(words or "", *place.index)

    if craft.clicked:
        picture.select(click, said, said, **HIDDEN)


def _preview(craft: Craft, file: str | None, said: str) -> dict[str, Any]:
    """The file as a picture, where it is one: of another the answer says why."""
    try:
        return gr.update(value=craft.preview(Path(file or ""), said), visible=True)
    except Exception:
        return gr.update(value=None, visible=False)


def _sample(craft: Craft, desk: Desk) -> list[Any]:
    """The craft's own files to try, and the words beside them."""
    files = [str(path) for path in desk.copies(craft.samples)]
    return [*files, *[None] * (2 - len(files)), craft.sample_words() or gr.skip()]
