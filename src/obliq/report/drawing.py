"""Inline SVG that takes its colours and letters from the page around it.

Lines are drawn in stand-in colours that become CSS variables, so one drawing serves light, dark and
paper.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, RULE = "#010101", "#020202", "#030303"
FORGET, TEST, RETAIN, BAND = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink", MUTED: "--muted", RULE: "--rule", FORGET: "--forget", TEST: "--unseen",
    RETAIN: "--retain", BAND: "--band",
}  # fmt: skip
WIDE, HIGH = 3.5, 2.1  # inches; the page scales the drawing


def svg(draw: Callable[[Axes], None], title: str, size: tuple[float, float] = (WIDE, HIGH)) -> Markup:
    """Draw on a fresh figure, without pyplot's global state, and clean the SVG for use inside a page."""
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.add_subplot()
    axes.patch.set_visible(False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=MUTED, labelsize=9, length=3)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    draw(axes)
    written = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "obliq"}):
        figure.savefig(
            written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _inlined(written.getvalue(), title)


def _inlined(document: str, title: str) -> Markup:
    """The bare svg element: named, scalable, coloured by the page, with ids that no other picture has."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<g id=\"[^\"]*\"", "<g", body)
    prefix = f"c{zlib.crc32((title + body).encode()):08x}-"
    body = re.sub(r'\bid="', f'id="{prefix}', body)
    body = body.replace('href="#', f'href="#{prefix}').replace("url(#", f"url(#{prefix}")
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"font-family: [^;\"]*; |(?<=font-size: )([\d.]+px) [^;\"]*", r"\1", body)
    body = re.sub(r"\s*\n\s*", "\n", body).replace("xlink:href", "href")
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    view = re.search(r'viewBox="[^"]*"', body)
    # matplotlib alone made the inside: no text from elsewhere is drawn, and the title is escaped by format()
    inside = Markup(body[body.index(">") + 1 :].strip())
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" {view}>'
        "<title>{title}</title>"
    )
    return opening.format(title=title, view=Markup(view.group() if view else "")) + inside
