from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from aot.artifacts import BAD_SUFFIX, METADATA_NAME, PACKAGE_NAME, Artifact, ArtifactStore
from aot.keys import ArtifactKey, WheelKey, meaningful_source, precision_of, source_hash
from flashworld.errors import CompiledBlockError

KEY = ArtifactKey("transformer", "2.11.0+cu130", "sm_90", "fp8", "f24_h480_w704", "0123456789abcdef")


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(tmp_path / "store")


def test_saved_artifact_loads_under_the_same_key(store):
    saved = store.save(KEY, {PACKAGE_NAME: b"machine code"}, {"inputs": {"x": 1}})
    loaded = store.load(KEY)
    assert loaded.package.read_bytes() == b"machine code"
    assert loaded.metadata["inputs"] == {"x": 1}
    assert loaded.digest == saved.digest


def test_saving_again_replaces_and_leaves_nothing_else(store):
    store.save(KEY, {PACKAGE_NAME: b"one"}, {})
    store.save(KEY, {PACKAGE_NAME: b"two"}, {})
    assert store.load(KEY).package.read_bytes() == b"two"
    assert [p.name for p in store.root.iterdir()] == [KEY.slug]


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, torch="2.12.0+cu130"),
        replace(KEY, arch="sm_120"),
        replace(KEY, precision="bf16"),
        replace(KEY, shapes="f24_h704_w480"),
        replace(KEY, source="fedcba9876543210"),
    ],
)
def test_another_key_finds_nothing_and_lists_what_exists(store, other):
    store.save(KEY, {PACKAGE_NAME: b"x"}, {})
    with pytest.raises(CompiledBlockError, match="one has"):
        store.load(other)
    assert store.load(KEY)  # the failed lookup damages nothing


def truncate(artifact: Artifact) -> None:
    artifact.package.write_bytes(artifact.package.read_bytes()[:-1])


def corrupt(artifact: Artifact) -> None:
    data = bytearray(artifact.package.read_bytes())
    data[3] ^= 1
    artifact.package.write_bytes(bytes(data))


def lose_file(artifact: Artifact) -> None:
    artifact.package.unlink()


def make_foreign(artifact: Artifact) -> None:
    path = artifact.path / METADATA_NAME
    data = json.loads(path.read_text())
    data["key"]["arch"] = "sm_80"
    path.write_text(json.dumps(data))


def break_metadata(artifact: Artifact) -> None:
    (artifact.path / METADATA_NAME).write_text('{"format": 1, "ke')


def lose_metadata(artifact: Artifact) -> None:
    (artifact.path / METADATA_NAME).unlink()


def list_in_metadata(artifact: Artifact) -> None:
    (artifact.path / METADATA_NAME).write_text("[1]")


@pytest.mark.parametrize(
    "damage", [truncate, corrupt, lose_file, make_foreign, break_metadata, lose_metadata, list_in_metadata]
)
def test_damaged_artifact_is_refused_and_set_aside(store, damage):
    damage(store.save(KEY, {PACKAGE_NAME: b"machine code"}, {}))
    with pytest.raises(CompiledBlockError, match="set aside"):
        store.load(KEY)
    assert not (store.root / KEY.slug).exists()
    assert (store.root / (KEY.slug + BAD_SUFFIX)).is_dir()
    assert list(store.entries()) == []
    store.save(KEY, {PACKAGE_NAME: b"good again"}, {})
    assert store.load(KEY).package.read_bytes() == b"good again"


def test_file_names_in_metadata_cannot_leave_the_folder(store, tmp_path):
    (tmp_path / "outside").write_bytes(b"x")
    artifact = store.save(KEY, {PACKAGE_NAME: b"x"}, {})
    path = artifact.path / METADATA_NAME
    data = json.loads(path.read_text())
    data["files"] = {"../../outside": data["files"][PACKAGE_NAME]}
    path.write_text(json.dumps(data))
    with pytest.raises(CompiledBlockError):
        store.load(KEY)


def test_entries_lists_valid_and_damaged_artifacts(store):
    store.save(KEY, {PACKAGE_NAME: b"x"}, {})
    corrupt(store.save(replace(KEY, block="vae_encoder"), {PACKAGE_NAME: b"long enough"}, {}))
    kinds = [type(entry) for entry in store.entries()]
    assert kinds == [Artifact, CompiledBlockError]


def test_unwritable_store_is_one_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CompiledBlockError, match="expected to write"):
        ArtifactStore(tmp_path / "file").save(KEY, {PACKAGE_NAME: b"x"}, {})


def test_slugs_are_safe_file_names():
    wheel = WheelKey("1.5.3", "2.11.0+cu130", "cp312", "9.0;12.0")
    for slug in (KEY.slug, wheel.slug, replace(KEY, block="../x y").slug):
        assert "/" not in slug
        assert ";" not in slug
        assert " " not in slug


class Small(nn.Module):
    """Two weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("table", torch.zeros(3), persistent=False)


def test_source_hash_depends_on_layout_and_options_but_not_values():
    one, two = Small(), Small()
    assert source_hash(one) == source_hash(two)
    assert source_hash(one) != source_hash(one, ["max_autotune"])
    assert source_hash(one) != source_hash(two.to(torch.bfloat16))
    two = Small()
    two.table = torch.zeros(4)
    assert source_hash(one) != source_hash(two)


def test_source_hash_ignores_comments_and_docstrings():
    code = '"""Doc."""\n\n# note\nx = 1\n"""About x."""\ndef f():\n    """Doc\n    two."""\n    return "kept"  # kept\n'
    assert meaningful_source(code) == 'x = 1\ndef f():\n    return "kept"  # kept'


def test_precision_is_fp8_if_any_weight_is():
    module = Small().to(torch.bfloat16)
    assert precision_of(module) == "bf16"
    assert precision_of(Small()) == "fp32"
    module.register_buffer("quantised", torch.zeros(2, dtype=torch.float8_e4m3fn))
    assert precision_of(module) == "fp8"
