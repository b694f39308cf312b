"""Manifests: every format gives the same rows; errors are reported before the run, or only in the row concerned."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from flashworld.batch.manifest import open_manifest
from flashworld.batch.requests import RequestSettings, request_of
from flashworld.batch.rows import Row, broken_id, checked_id, default_id
from flashworld.config import FULL
from flashworld.errors import InputError
from flashworld.limits import MAX_ID_CHARS, MAX_SEED

SIZES = {"frames": 3, "height": 64, "width": 96}


@pytest.fixture
def photo(tmp_path):
    Image.effect_mandelbrot((120, 80), (-2.5, -1.2, 1.2, 1.2), 40).convert("RGB").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def requests_of(manifest):
    settings = RequestSettings(manifest.folder, FULL)
    return [request_of(row, settings) for row in manifest.rows()]


def test_json_lines_csv_and_parquet_give_the_same_rows(tmp_path, photo):
    params = {"angle_deg": 10}
    table = [
        {"id": "a", "image": "photo.png", "text": None, "trajectory": "forward", "params": None, "seed": 3, **SIZES},
        {"id": "b", "image": None, "text": "a, \"b\"", "trajectory": "orbit_left", "params": json.dumps(params),
         "seed": None, **SIZES},
    ]  # fmt: skip
    rows = [{**row, "params": row["params"] and json.loads(row["params"])} for row in table]
    names = [lines(tmp_path / "m.jsonl", rows)]
    parquet.write_table(pa.Table.from_pylist(table), tmp_path / "m.parquet")
    quoted = ["" if v is None else '"' + str(v).replace('"', '""') + '"' for row in table for v in row.values()]
    width = len(table[0])
    cells = [",".join(table[0]), *(",".join(quoted[i : i + width]) for i in range(0, len(quoted), width))]
    (tmp_path / "m.csv").write_text("﻿" + "\r\n".join(cells), encoding="utf-8")
    names += [str(tmp_path / "m.csv"), str(tmp_path / "m.parquet")]
    made = [requests_of(open_manifest(name)) for name in names]
    for first, second in made:
        assert (first.seed, first.path.name, first.frames) == (3, "forward", 3)
        assert np.array_equal(first.picture, made[0][0].picture) and first.picture.shape == (64, 96, 3)
        assert (second.text, second.path.params["angle_deg"]) == ('a, "b"', 10)
        assert second.seed == Row("b", 2, {}).seed


def test_pictures_may_be_bytes_as_in_data_sets(tmp_path, photo):
    rows = [{"image": {"bytes": photo.read_bytes(), "path": None}, **SIZES}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    (request,) = requests_of(open_manifest(str(tmp_path / "m.parquet")))
    assert request.picture is not None


def test_a_row_may_be_a_whole_request_and_a_path_a_file(tmp_path):
    camera = {"quaternion": [1, 0, 0, 0], "position": [0, 0, 0], "fx": 80, "fy": 80, "cx": 48, "cy": 32}
    path = {"cameras": [camera, camera | {"position": [0, 0, -0.5]}]}
    (tmp_path / "path.json").write_text(json.dumps({"resolution": [3, 64, 96], **path}))
    name = lines(tmp_path / "m.jsonl", [
        {"id": "own", "format": "flashworld-request", "version": 1, "text": "a", **SIZES},
        {"id": "original", "text_prompt": "a", "resolution": [3, 64, 96], **path},
        {"id": "file", "text": "a", "trajectory": "path.json", **SIZES},
    ])  # fmt: skip
    own, original, file = requests_of(open_manifest(name))
    assert own.seed == Row("own", 1, {}).seed and original.seed == Row("original", 2, {}).seed
    assert np.allclose(original.cameras.positions, file.cameras.positions)


def test_a_folder_of_requests_is_a_manifest(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "request.json").write_text(
            json.dumps({"format": "flashworld-request", "version": 1, "text": name, **SIZES})
        )
    manifest = open_manifest(str(tmp_path))
    assert manifest.ids == ("one", "two")
    assert [r.text for r in requests_of(manifest)] == ["one", "two"]
    assert [r.seed for r in requests_of(manifest)] == [Row("one", 1, {}).seed, Row("two", 2, {}).seed]


def test_seeds_depend_on_ids_alone():
    seeds = [Row(f"{i}", i, {"text": str(i)}).seed for i in range(1000)]
    assert len(set(seeds)) == 1000 and all(0 <= seed <= MAX_SEED for seed in seeds)
    assert Row("a", 1, {}).seed == Row("a", 9, {"text": "other"}).seed == 1617913763


def test_digests_depend_on_content_but_not_on_order():
    row = Row("a", 1, {"text": "x", "seed": 1})
    assert row.digest() == Row("a", 7, {"seed": 1, "text": "x"}).digest()
    others = [
        Row("b", 1, row.fields),
        Row("a", 1, {"text": "y"}),
        Row("a", 1, {"image": b"1"}),
        Row("a", 1, {"image": b"2"}),
    ]
    assert len({row.digest(), row.digest("nano"), *(other.digest() for other in others)}) == 6


@pytest.mark.parametrize(
    "wrong", ["", "../a", "a/b", ".hidden", "a" * (MAX_ID_CHARS + 1), "a\n", "a*", 1.5, None, True]
)
def test_ids_that_cannot_name_a_folder_are_refused(wrong):
    with pytest.raises(InputError, match="id must be"):
        checked_id(wrong)


def test_ids_may_be_names_and_numbers():
    assert [checked_id(i) for i in ("a", "room 1.b", "Küche", 17)] == ["a", "room 1.b", "Küche", "17"]
    assert default_id(17) == "000017"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("m.jsonl", '{"caption": "x"}', "needs a column image or text, got caption"),
        ("m.csv", "id,prompt\n1,x", "needs a column image or text, got prompt"),
        ("m.jsonl", '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "ids must differ, got 'a' in rows 1 and 2"),
        ("m.jsonl", "", "no rows"),
        ("m.parquet", "PAR", "cannot be read"),
        ("m.csv", "text\n" + "x" * 200_000, "cannot be read"),
        ("m.txt", "x", "must be a folder of requests or end in .jsonl"),
    ],
)  # fmt: skip
def test_invalid_manifests_are_refused_in_one_sentence(tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence) as refused:
        open_manifest(str(tmp_path / name))
    assert str(refused.value).startswith(name) and str(refused.value).isprintable()


@pytest.mark.parametrize("place", ["nowhere.jsonl", "nowhere", "s4://bucket/m.csv", "s3://bucket", "x" * 3000, "a\0b"])
def test_missing_manifests_are_refused_in_one_sentence(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        open_manifest(place)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("{", "not JSON"),
        ("[1]", "row must be a JSON object"),
        ('{"text": "x", "id": "a/b"}', "id must be"),
        ('{"image": "none.jpg"}', "'none.jpg' is not a file"),
        ('{"image": "m.jsonl"}', "unknown kind"),
        ('{"image": "memory://none.jpg"}', "'none.jpg' cannot be read"),
        ('{"image": 7}', "image must be a file name"),
        ('{"text": "x", "trajectory": "sideways"}', "sideways"),
        ('{"text": "x", "trajectory": "none.json"}', "none.json"),
        ('{"text": "x", "params": 7}', "params must be an object"),
        ('{"text": "x", "seed": "seven"}', "seed must be a whole number"),
        ('{"text": "x", "video": {"speed": 1}}', "unknown field 'speed'"),
        ('{"id": "x", "frames": 3}', "picture or a text"),
    ],
)
def test_an_invalid_row_has_its_own_error_message(tmp_path, row, sentence):
    (tmp_path / "m.jsonl").write_text(f'{row}\n{{"id": "good", "text": "x"}}')
    manifest = open_manifest(str(tmp_path / "m.jsonl"))
    broken, good = manifest.rows()
    with pytest.raises(InputError, match=sentence):
        request_of(broken, RequestSettings(manifest.folder, FULL))
    assert request_of(good, RequestSettings(manifest.folder, FULL)).text == "x"


def test_an_edited_request_file_counts_as_another_row(tmp_path):
    file = tmp_path / "request.json"
    file.write_text("{}")
    row = Row("a", 1, {}, file=str(file))
    before = row.digest()
    assert row.digest() == before
    file.write_text('{"seed": 2}')
    assert row.digest() != before
    file.unlink()
    assert Row("a", 1, {}, file=str(file)).digest() not in (before, "")


@pytest.mark.parametrize("value", ["results.parquet", "Results.Parquet", "#1", "a/b", ""])
def test_invalid_ids_are_refused(value):
    with pytest.raises(InputError, match="id must be"):
        checked_id(value)


def test_ids_of_unreadable_rows_never_clash_with_valid_ids():
    with pytest.raises(InputError):
        checked_id(broken_id(1))
