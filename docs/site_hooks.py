"""MkDocs hooks: files of the repository's top as pages of the site, and links that lead to them.

`index.md` is the README without the Space's header. Other files outside `docs/` that a page links to (licences, sources) are copied into
the site under `repository/`, so that every link works without knowing where the repository is hosted.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "README.pt.md": "index.pt.md",
    "README.zh.md": "index.zh.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/LICENSES.md": "image_credits.md",
}
"""Pages that are not in `docs/`: path in the repository, name in the site."""
FOLDER = "repository"
HEADER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
LINK = re.compile(r'(?P<before>\]\(|(?:src|href)=")(?P<path>[^)"#\s:]+)(?P<anchor>#[^)"\s]*)?(?P<after>[)"])')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside `docs/`."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=HEADER.sub("", (ROOT / name).read_text(encoding="utf-8"))))
    for target in sorted(linked_files()):
        files.append(File.generated(config, site_path(target), abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Redirect links of a page to where their targets are in the site."""
    source = source_of(page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri)

    def redirect(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["path"]))
        path = posixpath.relpath(site_path(target), here or ".")
        if match["before"] != "](":
            path = re.sub(r"\.md$", ".html", path)
        return f"{match['before']}{path}{match['anchor'] or ''}{match['after']}"

    return LINK.sub(redirect, markdown)


def source_of(page: str) -> str:
    """A page's path in the repository."""
    names = {page: name for name, page in PAGES.items()}
    return names.get(page, f"docs/{page}")


def site_path(target: str) -> str:
    """Where a path of the repository is found in the site."""
    if target in PAGES:
        return PAGES[target]
    return target.removeprefix("docs/") if target.startswith("docs/") else f"{FOLDER}/{target}"


def linked_files() -> set[str]:
    """Files outside `docs/` that pages link to, by their paths in the repository."""
    sources = [*PAGES, *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
    found = set()
    for source in sources:
        for match in LINK.finditer((ROOT / source).read_text(encoding="utf-8")):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match["path"]))
            if target not in PAGES and not target.startswith("docs/") and (ROOT / target).is_file():
                found.add(target)
    return found
