"""The benchmark's metrics: perfect on ground truth, correct where the score is known, strict otherwise."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from flashworld.nano.language.scene import GROUNDS, WALLS
from flashworld.nano.training import methods
from flashworld.nano.training.claims import SURFACE_SHARE, Claim
from flashworld.nano.training.colour_names import BANDS, is_named, to_hsv
from flashworld.nano.training.contact_sheet import MAX_JPEG_BYTES, labelled, save_jpeg
from flashworld.nano.training.curves import draw_curves, read_logs
from flashworld.nano.training.evaluators import Evaluator
from flashworld.nano.training.materials import COLOURS, MATERIALS
from flashworld.nano.training.measures import Views, consistency, depth_errors, psnr
from flashworld.nano.training.report import Row, table
from flashworld.nano.training.request_evaluation import CaptionScore, caption_rows, expected
from flashworld.nano.training.specs import sample_spec
from flashworld.nano.training.unseen import FIRST_CAPTION_SEED, make_trial, unseen_atlas
from flashworld.nano.training.world_evaluation import WorldScores, gain_row
from flashworld.nano.training.worlds import SKY_DISTANCE

HEIGHT, WIDTH = 64, 96
TRUTH_SHARE = 0.97
"""Of the claims that the caption's own world must fulfil."""


@pytest.fixture(scope="module")
def atlas():
    return unseen_atlas({})


@pytest.fixture(scope="module", params=[0, 2], ids=["room", "outdoors"])
def trial(request, atlas):
    return make_trial(request.param, atlas, frames=4, height=HEIGHT, width=WIDTH, gallery_share=0.0)


def truth_of(trial) -> Views:
    return Views(trial.rgb, trial.depth.nan_to_num(SKY_DISTANCE), torch.ones_like(trial.depth))


def test_ground_truth_scores_perfectly(trial):
    views = truth_of(trial)
    assert all(psnr(a, b) > 99 for a, b in zip(views.rgb, trial.rgb, strict=True))
    for errors in depth_errors(views, trial.depth):
        assert float(errors.max()) < 1e-6


def test_depth_errors_account_for_scale_and_holes(trial):
    views = truth_of(trial)
    doubled, aligned = depth_errors(dataclasses.replace(views, depth=views.depth * 2), trial.depth)
    assert float(doubled.median()) == pytest.approx(1.0) and float(aligned.max()) < 1e-5
    nothing, _ = depth_errors(dataclasses.replace(views, depth=torch.zeros_like(views.depth)), trial.depth)
    assert bool((nothing == 1).all())


def test_consistency_is_high_for_ground_truth_and_low_for_wrong_depth(trial):
    views, pairs = truth_of(trial), [(0, 6), (6, 0)]
    right, share = consistency(views, trial.all_cameras, pairs)
    wrong, _ = consistency(dataclasses.replace(views, depth=views.depth * 1.5), trial.all_cameras, pairs)
    assert right > 26 and share > 0.5  # 64 rows: edges weigh more than at full size
    assert wrong < right - 3
    empty = Views(views.rgb, torch.zeros_like(views.depth), torch.zeros_like(views.depth))
    assert consistency(empty, trial.all_cameras, pairs) == (0.0, 0.0)


def test_the_billboard_is_exact_where_it_stands_and_flat(trial):
    views = methods.billboard(trial)
    given = torch.from_numpy(trial.picture).float() / 255
    assert psnr(views.rgb[0], given) > 90
    median = float(trial.depth[0].nanmedian())
    torch.testing.assert_close(views.depth[0], torch.full_like(views.depth[0], median), rtol=1e-4, atol=1e-4)
    assert psnr(views.rgb[-1], trial.rgb[-1]) < 35, "it cannot know what moves"
    scores = WorldScores()
    found = scores.add(trial, "billboard", views)
    assert found["consistency"] > 45 and found["novel"] < 35 and found["depth"] > 0.05


@pytest.mark.parametrize("name", COLOURS)
def test_colours_in_light_and_shade_keep_their_names(name):
    for light in (1.0, 0.75, 0.55):
        patch = np.full((2, 2, 3), COLOURS[name], np.float32) * light
        assert is_named(patch, name).all(), (name, light)
    others = [n for n in COLOURS if is_named(np.full((1, 1, 3), COLOURS[name], np.float32), n).any()]
    assert len(others) <= 2, others


def test_hsv_agrees_with_the_standard_library():
    import colorsys

    pixels = np.random.default_rng(0).random((50, 3)).astype(np.float32)
    found = np.stack(to_hsv(pixels), -1) / [360, 1, 1]
    np.testing.assert_allclose(found, [colorsys.rgb_to_hsv(*pixel) for pixel in pixels.tolist()], atol=1e-5)
    assert {name for name in (*GROUNDS, *WALLS) if MATERIALS[name].colour} <= set(BANDS)


def test_ground_truth_matches_its_captions_and_other_worlds_do_not(atlas):
    asked, shown = [], []
    for seed in range(FIRST_CAPTION_SEED, FIRST_CAPTION_SEED + 40):
        statements, view = expected(sample_spec(seed, 0.0), atlas, HEIGHT, WIDTH)
        asked.append(statements)
        shown.append(view)
    own = [claim.holds(view) for claims, view in zip(asked, shown, strict=True) for claim in claims]
    other = [claim.holds(shown[i - 7]) for i, claims in enumerate(asked) for claim in claims]
    assert np.mean(own) >= TRUTH_SHARE and np.mean(other) < 0.5, (np.mean(own), np.mean(other))
    for kind in ("thing", "third"):
        assert sum(claim.kind == kind for claims in asked for claim in claims) > 20, kind


def test_a_thing_in_another_third_is_found_by_no_claim_about_its_third(atlas):
    seeds = range(FIRST_CAPTION_SEED, FIRST_CAPTION_SEED + 40)
    spec = next(
        s for s in (sample_spec(seed, 0.0) for seed in seeds) if len(s.things) == 1 and s.things[0].column == "left"
    )
    statements, view = expected(spec, atlas, HEIGHT, WIDTH)
    (claim,) = [claim for claim in statements if claim.kind == "third"]
    moved = np.roll(view, WIDTH // 2, axis=1)
    assert claim.holds(view) and not claim.holds(moved)


def caption_score(things: list[bool], thirds: list[bool]) -> CaptionScore:
    kinds = ["ground", *["thing"] * len(things), *["third"] * len(thirds)]
    found = [True, *things, *thirds]
    blank = [False] * len(kinds)
    return CaptionScore(
        5000, "", kinds, {"nano": found, "truth": found, "chance": blank}, {"nano": 21.0, "chance": 9.0}
    )


def test_thirds_are_a_row_of_their_own_and_count_nothing_twice():
    rows = {row.name: row for row in caption_rows([caption_score([True, True, False], [True, False, False])])}
    assert rows["text only, named colours found, 1 captions"].values["nano"] == pytest.approx(3 / 4)
    assert rows["- things"].values["nano"] == pytest.approx(2 / 3) and rows["- things"].verdict == "missed"
    assert rows["- things, in their third of the picture"].values["nano"] == pytest.approx(1 / 3)
    assert rows["text only, PSNR against the caption's one scene"].verdict == "must"
    assert caption_rows([]) == []


def test_gains_are_over_the_billboard():
    row = gain_row("x", {"nano": 25.0, "billboard": 22.5, "random weights": 9.0})
    assert row.values == {"nano": 2.5} and row.verdict == "must" and "+2.5 dB" in table([row])


def test_a_claim_is_about_its_part_of_the_picture():
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[30:] = (40, 150, 40)
    assert Claim("ground", "grass", (0.75, 1, 0, 1), SURFACE_SHARE).holds(picture)
    assert not Claim("ground", "grass", (0, 0.7, 0, 1), SURFACE_SHARE).holds(picture)


def test_the_table_says_which_bar_is_met():
    rows = [
        Row("a", "dB", {"nano": 28.5, "truth": 100.0}, 24, 28), Row("b", "error", {"nano": 0.1}, 0.15, 0.08),
        Row("c", "%", {"nano": 0.5}, 0.8, 0.95), Row("d", "yes", {"nano": 1.0}, 1), Row("e", "dB", {"nano": 3.0}),
        Row("f", "s", {"nano": 11.6}, 20, 12), Row("g", "gain", {"nano": -0.5}, 2, 4),
    ]  # fmt: skip
    assert [row.verdict for row in rows] == ["aim", "must", "missed", "must", "", "aim", "missed"]
    lines = table(rows).splitlines()
    assert len(lines) == 9 and {line.count("|") for line in lines} == {9}
    assert "28.5 dB" in lines[2] and "exact" in lines[2] and "50.0 %" in lines[4]
    assert "12 s" in lines[7] and "-0.5 dB" in lines[8] and "+4.0 dB" in lines[8]
    json.dumps([row.to_dict() for row in rows])


def weight_sums(evaluator: Evaluator, task: int) -> tuple[int, list[float], bool]:
    """What identifies both models, and whether gradients are off."""
    models = (evaluator.pipeline, evaluator.untrained)
    sums = [float(p.sum()) for model in models for m in model.networks.modules.values() for p in m.parameters()]
    return task, sums, torch.is_inference_mode_enabled()


def test_worker_processes_evaluate_the_same_models_in_order():
    alone, divided = (Evaluator.load("nano", {}, workers) for workers in (1, 2))
    found = list(divided.map(weight_sums, range(5)))
    assert [task for task, _, _ in found] == list(range(5))
    for (_, sums, inference), (_, wanted, _) in zip(found, alone.map(weight_sums, range(5)), strict=True):
        assert inference
        assert sums == pytest.approx(wanted, rel=1e-4, abs=1e-4)  # threads add in another order


def test_sheets_stay_small_and_curves_join_runs(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (192, 288, 3), dtype=np.uint8)
    save_jpeg(labelled([[noise] * 6] * 12, list("abcdef"), ["a red ball"] * 12), tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").stat().st_size <= MAX_JPEG_BYTES
    logs = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    lines = [{"stage": s, "step": i, "picture": 0.5, "seconds": 60.0 * i} for s in ("a", "b") for i in (1, 2)]
    for path in logs:
        path.write_text("\n".join(json.dumps(line) for line in [*lines, {"look": "end", "input": 20.0}]))
    points = read_logs(logs)
    assert [minutes for minutes, _ in points["picture"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert points["held_out_input"] == [(4, 20.0), (8, 20.0)] and "input" not in points
    draw_curves(logs, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000
