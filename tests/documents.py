"""The documentation as test data: every page, its code blocks, commands, headings and links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```([a-z ]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(kind: str, pages: list[Path] = PAGES) -> list[str]:
    """The code blocks of one kind, in order, without repetitions."""
    return list(dict.fromkeys(text for page in pages for name, text in FENCE.findall(text_of(page)) if name == kind))


def commands(kind: str) -> list[list[str]]:
    """The words of every command line in blocks of one kind, without repetitions."""
    lines = [line.removeprefix("$ ") for text in blocks(kind) for line in text.splitlines()]
    return [shlex.split(line) for line in dict.fromkeys(lines)]


def inline_commands() -> list[list[str]]:
    """`python -m ...` in running text and tables; the changelog may name commands that are gone."""
    text = "\n".join(FENCE.sub("", text_of(page)) for page in PAGES if page.name != "CHANGELOG.md")
    return [shlex.split(found) for found in dict.fromkeys(re.findall(r"`(python -m [^`]+)`", text))]


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """Targets of links and images."""
    return ["".join(found) for found in LINK.findall(FENCE.sub("", text_of(page)))]


def section(page: str, start: str, end: str = "\n## ") -> str:
    """The part of a page between two phrases."""
    _before, found, after = text_of(ROOT / page).partition(start)
    assert found, f"{page} has no {start!r}"
    return after.partition(end)[0]
