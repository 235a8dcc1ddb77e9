"""Drawings as SVG that takes its colours from the page, so that one serves light, dark and print."""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Callable

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from obliq.io.visible_text import visible_line

# Placeholders: matplotlib draws with these colours, which `_inlined` then replaces by the page's variables.
INK, MUTED, RULE = "#010101", "#020202", "#030303"
FORGET, TEST, RETAIN, BAND = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    FORGET: "--forget",
    TEST: "--unseen",
    RETAIN: "--retain",
    BAND: "--range",
}
WIDE, HIGH = 3.5, 2.1  # inches; the page scales the drawing


def draw_svg(
    draw: Callable[[Axes], None],
    title: str,
    size: tuple[float, float] = (WIDE, HIGH),
    *,
    margins: bool = True,
) -> Markup:
    """Draw on a fresh figure, without pyplot's global state, and clean the SVG for use inside a page.

    Args:
        draw: draws on the axes.
        title: the chart in words, for readers who do not see it.
        size: in inches.
        margins: whether to leave space for labels; without, the axes fill the drawing.
    """
    figure = Figure(figsize=size, layout="constrained" if margins else None)
    figure.patch.set_visible(False)
    axes = figure.add_subplot() if margins else figure.add_axes((0, 0, 1, 1))
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
    """The bare svg element: named, scalable, coloured by the page, with ids that no other drawing has."""
    title = visible_line(title)
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<g id=\"[^\"]*\"", "<g", body)
    prefix = f"c{zlib.crc32((title + body).encode()):08x}-"
    for number, name in enumerate(re.findall(r'\bid="([^"]*)"', body)):
        body = re.sub(rf'(\bid="|"#|url\(#){name}\b', rf"\g<1>{prefix}{number}", body)
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"font: (?=[\d.]+px )", "font-size: ", body)  # matplotlib before 3.10 joins size and family
    body = re.sub(r"font-family: [^;\"]*; |(?<=font-size: )([\d.]+px) [^;\"]*", r"\1", body)
    body = _compact(re.sub(r"\s*\n\s*", "\n", body).replace("xlink:href", "href"))
    for color, variable in VARIABLES.items():
        body = body.replace(color, f"var({variable})")
    view = re.search(r'viewBox="[^"]*"', body)
    # safe as markup: matplotlib wrote the inside, without any text from outside, and format() escapes the title
    inside = Markup(body[body.index(">") + 1 :].strip())  # noqa: S704 - see above
    opening = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" {view}>'
        "<title>{title}</title>"
    )
    return opening.format(title=title, view=Markup(view.group() if view else "")) + inside  # noqa: S704


def _compact(body: str) -> str:
    """The same drawing in fewer letters: no groups around single things, no turns by zero, a tenth of a point."""
    body = re.sub(r"<g/>\n?", "", body)
    parts, kept = list[str](), list[bool]()  # whether each open group stays
    for part in re.split(r"(<g(?: [^>]*)?>\n?|</g>\n?)", body):
        if part.startswith("<g"):
            kept.append(part.startswith("<g "))
            parts.append(part if kept[-1] else "")
        else:
            parts.append(part if not part.startswith("</g>") or kept.pop() else "")
    body = re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", "".join(parts))
    body = re.sub(r'(?<= )(?:d|x|y|width|height)="[^"]*"', lambda found: _rounded_places(found[0]), body)
    body = re.sub(r"\n(?=L )", "", body)
    return re.sub(r'(?<=style=")[^"]*', lambda found: found[0].replace(": ", ":").replace("; ", ";"), body)


def _rounded_places(attribute: str) -> str:
    return re.sub(r"(?<=\d)\.0(?!\d)", "", re.sub(r"(?<=\d\.\d)\d+", "", attribute))
