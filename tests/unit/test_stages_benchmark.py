from __future__ import annotations

import json

import pytest

from benchmarks import stages
from benchmarks.machine import Machine
from benchmarks.work import TEXT_ROWS, Work, network_work, render_work
from flashworld.config import FULL, TEXT_PREFIX
from flashworld.models.text_encoder import tiny_tokenizer
from flashworld.nano.sizes import TINY

MACHINE = Machine("test", "0", matmul=100.0, fp8=200.0, attention=50.0, memory=10.0, to_host=5.0)


def test_lower_bound_is_compute_or_memory_time_whichever_is_longer():
    assert Work(products=100.0, attention=50.0).floor_seconds(MACHINE) == pytest.approx(2.0)
    assert Work(products=100.0, eight_bit=True).floor_seconds(MACHINE) == pytest.approx(0.5)
    assert Work(products=100.0, memory=40.0).floor_seconds(MACHINE) == pytest.approx(4.0)
    assert Work(memory=10.0, to_host=10.0).floor_seconds(MACHINE) == pytest.approx(3.0)


def test_work_scales_with_frames_as_in_the_networks():
    small, large = (network_work(TINY, frames, 64, 64, eight_bit=False) for frames in (4, 8))
    for name in ("gaussian_decoder", "vae_encoder"):  # frames are independent
        assert large[name].products == pytest.approx(2 * small[name].products)
    assert large["transformer"].attention > 2 * small["transformer"].attention  # attention is quadratic in tokens
    assert render_work(100, 4, 8, 8).memory == 2 * render_work(100, 2, 8, 8).memory


def test_the_prompt_has_as_many_tokens_as_the_floor_counts():
    ids = tiny_tokenizer(FULL.text.vocab_size).encode(TEXT_PREFIX + stages.PROMPT).ids
    assert len(ids) + 1 == TEXT_ROWS


def test_table_and_json_name_every_stage(tmp_path, capsys):
    path = tmp_path / "stages.json"
    options = ["--model", "tiny", "--device", "cpu", "--frames", "2,3", "--rounds", "1", "--warm-up", "1"]
    assert stages.main([*options, "--video-frames", "2", "--fused", "--json", str(path)]) == 0
    report = json.loads(path.read_text())
    names = ["text", "text_context", "transformer", "gaussian_decoder", "geometry", "render", "vae_encoder", "video"]
    assert [row["stage"] for row in report["rows"]] == 2 * [*names, "scene, no video"]
    assert all(row["ms"] >= 0 and row["ratio"] >= 0 for row in report["rows"])
    table = capsys.readouterr().out
    assert all(name in table for name in names)
