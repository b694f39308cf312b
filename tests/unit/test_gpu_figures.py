"""A program writes a GPU's figures into the documents, with card, date and commit."""

from __future__ import annotations

import json

import pytest

from docs import make_gpu_figures
from docs.gpu_tables import TABLES
from docs.make_gpu_figures import filled, whole

WHERE = {"card": "NVIDIA H100", "torch": "2.11.0", "date": "2026-12-01", "commit": "abc1234"}
STAGE = {"stage": "transformer", "frames": 24, "calls": 4, "ms": 120.0, "floor_ms": 100.0}
VERIFIED = {"block": "transformer", "precision": "fp8", "size": "24x480x704", "relative_error": 0.026, "eager_ms": 260.0,
            "compiled_ms": 120.0}  # fmt: skip
PARTS = {
    "machine": {"machine": {"name": "NVIDIA H100", "torch": "2", "matmul": 7e14, "fp8": None, "attention": 5e14,
                            "memory": 3e12, "to_host": 5e10}},
    "scene_eager": {"first_s": 5.0, "warm_s": 2.0, "peak_gib": 20.0, "gaussians": 4_055_040},
    "scene": {"first_s": 3.0, "warm_s": 1.0, "peak_gib": 15.0, "gaussians": 4_055_040},
    "stages": {"rows": [STAGE]},
    "stages_eager": {"rows": [STAGE | {"ms": 260.0}]},
    "compile": {"networks": {"transformer": {"state": "compiled", "seconds": {"export": 25.0, "compile": 210.0}, "mb": 3.0}},
                "wall_s": 240.0},
    "verify": {"rows": [VERIFIED]},
    "static_graphs": {"rows": {"static": [VERIFIED | {"compiled_ms": 110.0}], "dynamic": [VERIFIED]}},
    "growth": {"rows": [{"frames": 8, "height": 480, "width": 704, "peak_gib": 12.0, "ms": {"transformer": 30.0,
               "gaussian_decoder": 40.0, "render": 5.0, "vae_encoder": 12.0, "scene, no video": 400.0}}]},
    "offload": {"modes": {"none": {"warm_s": 2.0, "peak_gib": 20.0, "budgets": {
        "24 GiB": {"warm_s": 2.1, "peak_gib": 20.0}, "10 GiB": {"does not fit": "CUDA out of memory"}}}}},
    "rounding": {"rows": {"bfloat16": {"text": 0.01, "velocity": 0.013, "features": 0.0127, "head_maps": 0.0104,
                                       "vae_mean": 0.0128}}},
    "cold_start": {"imports_s": 8.0, "weights_s": 3.0, "graphs_s": 1.0, "first_scene_s": 2.0,
                   "second_scene_s": 1.0, "weights": "drawn"},
    "reserved": {"rows": [{"asked_s": 2, "used_s": 1.5, "kind": "46 7 warm compiled"}], "asked_over_used": 1.33},
    "video": {"frames": 97, "rendered_s": 0.25, "on_disk_s": 1.5, "mb": 3.0, "packed_s": 0.4, "pickled_s": 0.3,
              "transfer_mb": 430.0},
    "trace": {"device_ms": 1000.0, "idle_ms": 50.0, "stages": {"render": {"ms": 60.0, "launches": 300, "idle_inside_ms": 5.0}},
              "gaps_between_stages": [{"from": "render", "to": "vae_encoder", "ms": 10.0}]},
    "device_tests": {"counts": {"passed": 17}},
}  # fmt: skip
PARTS = {name: row | WHERE for name, row in PARTS.items()}


@pytest.mark.parametrize("target", make_gpu_figures.TARGETS, ids=lambda path: path.name)
def test_documents_hold_what_was_measured(target):
    text = target.read_text()
    assert "<!-- gpu: " in text
    assert text == filled(text, json.loads(make_gpu_figures.FIGURES.read_text())), "python -m docs.make_gpu_figures"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_states_card_date_and_commit_and_is_in_a_document(name):
    part, make = TABLES[name]
    lines = make(PARTS)
    text = "\n".join(lines)
    assert all(word in text for word in WHERE.values())
    assert "not measured" not in text
    heads = [line.count("|") for line in lines if line.startswith("|") and "---" not in line]
    assert len(set(heads)) == (name != "headline"), "one table; the headline is a sentence"
    assert any(f"<!-- gpu: {name} -->" in target.read_text() for target in make_gpu_figures.TARGETS)
    assert part in PARTS


def test_figures_of_an_earlier_commit_are_marked():
    old = PARTS["rounding"] | {"commit": "0ld"}
    text = "\n".join(TABLES["summary"][1](PARTS | {"rounding": old}))
    assert "commit 0ld (rounding)" in text
    assert "velocity | 1.3 %" in text and "features | 1.27 %" in text


def test_only_complete_parts_of_one_gpu_are_merged(tmp_path, monkeypatch):
    report = {
        "format": 2,
        "parts": {
            "scene": {"card": "NVIDIA H100", "warm_s": 1.23456789, "all_s": [1.0], "log": "..."},
            "stages": {"card": "NVIDIA H100", "rows": [], "error": "killed by SIGSEGV"},
            "growth": {"skipped": "no time"},
            "video": {"card": "CPU", "rendered_s": 3.0},
        },
    }
    assert whole(report["parts"]) == {"scene": {"card": "NVIDIA H100", "warm_s": 1.2346}}
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- gpu: video -->\nold\n<!-- gpu end -->\nafter\n")
    monkeypatch.setattr(make_gpu_figures, "FIGURES", tmp_path / "figures.json")
    monkeypatch.setattr(make_gpu_figures, "TARGETS", (page,))
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert make_gpu_figures.main([str(tmp_path / "report.json")]) == 0
    assert json.loads((tmp_path / "figures.json").read_text()).keys() == {"scene"}
    assert "Not measured yet" in page.read_text()
    assert page.read_text().startswith("before\n<!-- gpu: video -->\n")
    assert page.read_text().endswith("<!-- gpu end -->\nafter\n")


def test_report_of_another_format_is_refused(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"argv": [], "parts": {}}))
    with pytest.raises(SystemExit, match="format 2"):
        make_gpu_figures.main([str(tmp_path / "report.json")])
