"""Pages from templates; everything that enters them is escaped."""

import functools
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from obliq.io.visible_text import visible_text
from obliq.record.server.site import Visit

TEMPLATES = Path(__file__).parent / "templates"
_REPORT = Path(__file__).parents[2] / "report"


@functools.cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["quoted"] = lambda text: quote(text, safe="")
    found.filters["minute"] = lambda text: f"{text[:10]} {text[11:16]} UTC"
    found.filters["left"] = days_in_words
    return found


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page for whoever asked for it."""
    text = (
        _environment()
        .get_template(f"{template}.html.jinja")
        .render(
            role=visit.role,
            account=visit.account.name if visit.account else "",
            csrf=visit.session.csrf if visit.session else "",
            here=template,
            **values,
        )
    )
    return HTMLResponse(visible_text(text), status)


def message(visit: Visit, title: str, words: str, status: int) -> Response:
    """A page with a message, such as why something was refused."""
    return page(visit, "message", status=status, title=title, words=visit.site.without_paths(words))


@functools.cache
def style_sheet() -> bytes:
    """The style of all pages: that of the reports, and what forms need besides."""
    files = (_REPORT / "palette.css", _REPORT / "page.css", TEMPLATES / "server.css")
    return b"\n".join(file.read_bytes() for file in files)


def days_in_words(days: int | None) -> str:
    """How far away a deadline is."""
    if days is None:
        return ""
    if days < 0:
        return f"overdue by {_days(-days)}"
    return "today" if days == 0 else f"in {_days(days)}"


def _days(count: int) -> str:
    return f"{count:,} day" + ("" if count == 1 else "s")
