"""Links between pages, to headings and into source files lead somewhere."""

from pathlib import Path

import pytest

from tests.documentation.pages import MANUALS, ROOT, anchors, links


@pytest.mark.parametrize("page", MANUALS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_links_with_anchors_are_found() -> None:
    assert any("#" in target for page in MANUALS for target in links(page))
