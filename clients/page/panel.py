"""The panel beside the scene: the depth picture, the state in words, plots of the last minute, buttons, and the time bar of a recording."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import viser
from viser import uplot

from handmap.types.arrays import Float64, Uint8

from .colors import SIDE_RGB
from .history import SPAN_S, History

PANEL_PX: Final = 380
PLOT_PX: Final = 160
PLOT_PADDING_PX: Final = (10, 24, 0, 0)  # top, right, bottom, left: half of the topmost label stands above the plot
INKS: Final = ("#4287f5", "#f08c28", "#40a860", "#c04890", "#8060d0", "#a08030", "#30a0a8", "#808088")
# Title, and the series of `History` in it.
PLOTS: Final = (
    ("rate and loss, per second", ("frames", "lost")),
    ("age and jitter, ms", ("age", "jitter")),
    ("confidence", ("confidence",)),
    ("expected error, mm", ("error",)),
    ("stages, ms", ("stage locate", "stage crop", "stage infer", "stage decode", "stage skeleton", "stage publish")),
)
# What a button says while nothing runs and while it does, each with its icon.
RECORD: Final = ("Record", viser.Icon.PLAYER_RECORD)
STOP: Final = ("Stop recording", viser.Icon.PLAYER_STOP)
PLAY: Final = ("Play", viser.Icon.PLAYER_PLAY)
PAUSE: Final = ("Pause", viser.Icon.PLAYER_PAUSE)
Wish = Callable[[Callable[[], None]], None]


class Panel:
    """The controls of a page. What a person clicks is handed to `wish`, to be done by the thread that draws."""

    def __init__(self, server: viser.ViserServer, wish: Wish, is_dark: bool) -> None:
        self._gui = server.gui
        self._wish = wish
        # Each browser can change that for itself, in the panel's own settings.
        self._gui.configure_theme(dark_mode=is_dark, show_logo=False, show_share_button=False)
        self._gui.main_panel.dock_right()
        self._gui.main_panel.set_width(PANEL_PX)
        self._image = self._gui.add_image(np.zeros((8, 8, 3), np.uint8), format="jpeg", jpeg_quality=85, visible=False)
        self._state = self._gui.add_markdown("waiting for packets")
        self._tabs = self._gui.add_tab_group()
        with self._tabs.add_tab("Now"):
            self._text = self._gui.add_markdown("")
            self._gui.add_markdown(
                " ".join(
                    f"<span style='color:rgb{color}'>&#9632;</span> {side.name.lower()} hand"
                    for side, color in SIDE_RGB.items()
                    if side
                )
            )
        with self._tabs.add_tab("Last minute"):
            self._plots = [self._add_plot(title, names) for title, names in PLOTS]
        self._place: Any = None

    def show_picture(self, pixels: Uint8) -> None:
        """Shows a picture (H, W, 3)."""
        self._image.image = pixels
        self._image.visible = True

    def show_text(self, state: str, more: str) -> None:
        """Shows what is going on, in Markdown."""
        for handle, text in ((self._state, state), (self._text, more)):
            if handle.content != text:
                handle.content = text

    def show_history(self, history: History, now_s: float) -> None:
        """Draws the last minute."""
        series = history.series(now_s)
        nothing = np.zeros(len(history.ages_s()))
        for plot, (_, names) in zip(self._plots, PLOTS, strict=True):
            plot.data = (history.ages_s(), *(series.get(name, nothing) for name in names))

    def add_record(self, record: Callable[[bool], None]) -> None:
        """Adds the button that starts and ends a recording; `record` is told which."""
        self._record = self._gui.add_button(RECORD[0], icon=RECORD[1])
        self._record_text = self._gui.add_markdown("")
        self._record.on_click(lambda _: self._wish(partial(record, self._record.label == RECORD[0])))

    def show_record(self, is_running: bool, text: str) -> None:
        """Shows what the button does now, and what became of the recording."""
        _relabel(self._record, *(STOP if is_running else RECORD))
        if self._record_text.content != text:
            self._record_text.content = text

    def add_snapshot(self, take: Callable[[], str]) -> None:
        """Adds the button that has the daemon keep what its flight recorder holds; `take` says what became of it."""
        button = self._gui.add_button("Snapshot on the board", icon=viser.Icon.CAMERA)
        text = self._gui.add_markdown("")

        def clicked(_: Any) -> None:  # in a thread of the page: it waits for the daemon's answer
            button.disabled = True
            text.content = take()
            button.disabled = False

        button.on_click(clicked)

    def add_playback(self, duration_s: float, seek: Callable[[float], None], play: Callable[[bool], None]) -> None:
        """Adds the time bar of a recording, and the button that has it go on or stand still; `play` is told which."""
        step_s = max(round(duration_s / 1000, 3), 0.001)
        self._place = self._gui.add_slider("time, s", 0.0, max(round(duration_s, 3), step_s), step_s, 0.0)
        self._play = self._gui.add_button(PAUSE[0], icon=PAUSE[1])

        async def moved(event: Any) -> None:  # in the server's own loop: in a thread, its value could be another's
            if event.client is not None:  # else by `show_place`
                self._wish(partial(seek, float(event.target.value)))

        self._place.on_update(moved)
        # What it says is done, even if the recording has come to its end since it was drawn.
        self._play.on_click(lambda _: self._wish(partial(play, self._play.label == PLAY[0])))

    def show_place(self, place_s: float, is_playing: bool) -> None:
        """Moves the time bar to where the recording is."""
        self._place.value = round(place_s, 3)
        _relabel(self._play, *(PAUSE if is_playing else PLAY))

    def _add_plot(self, title: str, names: tuple[str, ...]) -> Any:
        ages_s: Float64 = History().ages_s()
        nothing = np.zeros(len(ages_s))
        series = [uplot.Series(label="s"), *(
            uplot.Series(label=name.removeprefix("stage "), stroke=ink, width=2, spanGaps=False)
            for name, ink in zip(names, INKS, strict=False)
        )]  # fmt: skip
        return self._gui.add_uplot(
            (ages_s, *(nothing for _ in names)), tuple(series), title=title, height=PLOT_PX, padding=PLOT_PADDING_PX,
            scales={"x": uplot.Scale(time=False, range=(-SPAN_S, 0.0)), "y": uplot.Scale(auto=True)},
            axes=(uplot.Axis(stroke="#888888"), uplot.Axis(stroke="#888888")), legend=uplot.Legend(show=len(names) > 1),
        )  # fmt: skip


def _relabel(button: viser.GuiButtonHandle, label: str, icon: viser.IconName) -> None:
    """Changes what a button says, if that is something else."""
    if button.label != label:
        button.label, button.icon = label, icon
