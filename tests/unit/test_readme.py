"""The README is a short first page, and its header is what a Space and the code need."""

from __future__ import annotations

import re

import pytest
import yaml

import flashworld
from flashworld.checkpoints.hub import CHECKPOINT_FILE, TEXT_CONFIG_FILE, TEXT_INDEX_FILE, TOKENIZER_FILE, VAE_FILE
from flashworld.config import FLASHWORLD_REPOSITORY, WAN_REPOSITORY
from tests.documents import README, ROOT, links

MAX_LINES = 150
FRONT, BODY = re.fullmatch(r"---\n(.*?)\n---\n(.*)", README, re.DOTALL).groups()
SPACE = yaml.safe_load(FRONT)
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_first_page_is_short_and_every_page_is_linked_from_the_top():
    assert len(README.splitlines()) <= MAX_LINES
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    top = [*links(ROOT / "README.md"), *links(ROOT / "CONTRIBUTING.md")]
    assert pages <= {link.partition("#")[0] for link in top}


@pytest.mark.parametrize("language", ["pt", "zh"])
def test_translated_first_pages_have_the_same_content(language):
    page = ROOT / f"README.{language}.md"
    assert page.name in links(ROOT / "README.md")
    said, body = page.read_text(encoding="utf-8"), BODY[: BODY.index("\n## Licence and citation")]
    assert re.findall(r"^```.*?^```", said, re.DOTALL | re.MULTILINE) == re.findall(
        r"^```.*?^```", body, re.DOTALL | re.MULTILINE
    )
    assert said.count("\n## ") == body.count("\n## ")
    assert {"README.md", "docs/images/scenes.webp", "CONTRIBUTING.md"} <= set(links(page))


def test_front_matter_is_valid_for_a_space():
    assert {"title", "emoji", "tags", "models"} <= SPACE.keys()
    assert {SPACE["colorFrom"], SPACE["colorTo"]} <= COLOURS
    assert len(SPACE["short_description"]) <= 60
    assert (SPACE["sdk"], SPACE["license"], SPACE["python_version"]) == ("gradio", "apache-2.0", "3.12")
    assert (ROOT / SPACE["app_file"]).name == "app.py"
    assert f"gradio=={SPACE['sdk_version']}\n" in (ROOT / "requirements.txt").read_text()
    assert re.fullmatch(r"\d+[hm]", SPACE["startup_duration_timeout"])


def test_the_space_preloads_exactly_the_pinned_files_that_are_read():
    entries = {entry.split()[0]: entry.split()[1:] for entry in SPACE["preload_from_hub"]}
    assert list(entries) == [WAN_REPOSITORY.repo_id, FLASHWORLD_REPOSITORY.repo_id]
    assert SPACE["models"] == [FLASHWORLD_REPOSITORY.repo_id, WAN_REPOSITORY.repo_id]
    wan, revision = entries[WAN_REPOSITORY.repo_id]
    shards = [name for name in wan.split(",") if re.fullmatch(r"text_encoder/model-\d{5}-of-\d{5}\.safetensors", name)]
    assert len(shards) == int(shards[0][-17:-12])
    assert {*wan.split(",")} == {TOKENIZER_FILE, TEXT_CONFIG_FILE, TEXT_INDEX_FILE, VAE_FILE, *shards}
    assert revision == WAN_REPOSITORY.revision
    assert entries[FLASHWORLD_REPOSITORY.repo_id] == [CHECKPOINT_FILE, FLASHWORLD_REPOSITORY.revision]


def test_packages_are_one_name_per_line():
    lines = (ROOT / "packages.txt").read_text().splitlines()
    assert lines and all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line) for line in lines)


def test_the_two_set_up_commands_are_the_first_code():
    assert re.search(r"```console\n(.*?)```", BODY, re.DOTALL).group(1) == "$ make run\n$ make test\n"


def test_citation_and_changelog_carry_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert all({"family-names", "given-names"} <= a.keys() or "name" in a for a in citation["authors"])
    assert citation["version"] == flashworld.__version__
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2510.13678"
    assert f"## [{flashworld.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
