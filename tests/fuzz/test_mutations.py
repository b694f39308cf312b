"""Every target's cases, made from numbered seeds: `FLASHWORLD_FUZZ_CASES=20000 pytest tests/fuzz` runs many."""

from __future__ import annotations

import pytest

from tests.fuzz import batches, command_line, pictures, requests_and_paths, scenes, uploads
from tests.fuzz.targets import Target, run, share

TARGETS: tuple[Target, ...] = (
    *requests_and_paths.TARGETS, *uploads.TARGETS, *pictures.TARGETS, *scenes.TARGETS, *command_line.TARGETS, *batches.TARGETS,
)  # fmt: skip
ALL_WEIGHTS = sum(target.weight for target in TARGETS)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_every_case_ends_in_a_valid_object_or_one_sentence(target, tmp_path):
    run(target, share(target.weight, ALL_WEIGHTS), tmp_path)
    assert list(tmp_path.iterdir()) == []
