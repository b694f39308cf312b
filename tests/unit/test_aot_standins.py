"""Stand-in networks for verifying graphs: the real layout in a fraction of the memory."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from aot.blocks import BLOCKS, plan_block
from aot.compile import CompileOptions, capture, key_for
from aot.keys import constants_of
from aot.shapes import EVERY_SIZE, SizeRange
from aot.side_by_side import fits
from aot.variants import Variant
from aot.verification.comparison import MAX_RELATIVE_ERROR, Comparison, flat, plan_trial, trials
from aot.verification.standins import LAYERS_DRAWN, Recipe
from aot.verification.verdict import Job
from flashworld.nano.sizes import TINY

DEEP = replace(
    TINY,
    transformer=replace(TINY.transformer, num_layers=5),
    text=replace(TINY.text, num_layers=4),
    frames=3,
    height=64,
    width=96,
)
VARIANTS = (Variant(), Variant(fused=False, sub_pixel=False), Variant(text_int8=True))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stand_ins_have_the_same_keys_as_the_real_networks(variant, dtype):
    """The key holds a hash of every weight's name, shape, type and strides."""
    recipe = Recipe(DEEP, variant, "cpu", dtype)
    real, stand_ins = recipe.networks(), recipe.stand_ins()
    for name in BLOCKS:
        keys = [key_for(plan_block(n, name, EVERY_SIZE)) for n in (real, stand_ins, recipe.blank(name))]
        assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize("variant", VARIANTS)
def test_stand_ins_run_at_full_depth_on_few_layers(variant):
    recipe = Recipe(DEEP, variant, "cpu", torch.float32)
    networks, real = recipe.stand_ins(), recipe.networks()
    with torch.inference_mode():
        for name in BLOCKS:
            answers = [flat(plan_block(n, name, EVERY_SIZE).example()) for n in (networks, real)]
            assert answers[0].shape == answers[1].shape
            assert answers[0].isfinite().all()
    for module, depth in ((networks.transformer, 5), (networks.text.encoder, 4)):
        tensors = [t for name, t in constants_of(module).items() if name.startswith(("blocks.", "encoder.block."))]
        assert len({t.data_ptr() for t in tensors}) == len(tensors) * LAYERS_DRAWN / depth


def test_blank_networks_take_the_memory_of_one():
    recipe = Recipe(DEEP, Variant(text_int8=True), "cpu", torch.bfloat16)
    for name in BLOCKS:
        networks = recipe.blank(name)
        here = [t for m in networks.modules.values() for t in (*m.parameters(), *m.buffers()) if not t.is_meta]
        assert (
            sum(t.numel() * t.element_size() for t in {id(t): t for t in here}.values())
            == recipe.blank_bytes([name])
            > 0
        )
        plan = plan_block(networks, name, EVERY_SIZE)
        assert capture(plan.module, plan.example)
    assert networks.text.encoder.shared.weight is networks.text.encoder.encoder.embed_tokens.weight


@pytest.mark.parametrize(("cores", "gib", "wanted"), [(16, 48, True), (4, 48, False), (16, 8, False)])
def test_networks_are_compiled_in_parallel_where_cores_and_memory_allow(monkeypatch, cores, gib, wanted):
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (gib * 2**30, 80 * 2**30))
    recipe = Recipe(DEEP, Variant(), "cuda", torch.bfloat16)
    assert fits(recipe, [(name, EVERY_SIZE) for name in BLOCKS]) == wanted
    assert not fits(recipe, [("transformer", EVERY_SIZE)])


def test_recipes_and_jobs_survive_json():
    recipe = Recipe(DEEP, Variant(fp8="per_row", text_int8=True), "cuda", torch.bfloat16, CompileOptions("tuned"))
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert "\n" not in recipe.to_json()
    job = Job("/a folder", "vae_encoder", SizeRange((2, 4), (64, 64), (64, 96), 77), 3, 2)
    assert Job.from_json(job.to_json()) == job


def test_trials_are_distinct_sizes_within_the_graphs_range():
    networks = Recipe(DEEP, Variant(), "cpu", torch.float32).stand_ins()
    for sizes in (EVERY_SIZE, SizeRange((2, 4), (64, 128), (64, 128)), SizeRange.exactly(3, 64, 96)):
        for name in BLOCKS:
            found = trials(networks, name, sizes)
            assert len(set(found)) == len(found)
            assert len(found) >= (1 if sizes.frames[0] == sizes.frames[1] and name != "text_encoder" else 2)
            for trial in found:
                plan_trial(networks, name, sizes, trial)
    own = (DEEP.frames, DEEP.height, DEEP.width)
    assert trials(networks, "vae_encoder", EVERY_SIZE)[:2] == [own, (1, 64, 96)]
    assert trials(networks, "transformer", EVERY_SIZE)[0] == own
    assert all(frames > 1 for frames, _, _ in trials(networks, "transformer", EVERY_SIZE))


@pytest.mark.parametrize("precision", MAX_RELATIVE_ERROR)
def test_non_finite_errors_and_errors_above_the_bound_fail(precision):
    row = Comparison("vae_encoder", precision, "3x64x96", MAX_RELATIVE_ERROR[precision], 1.0, 1.0)
    assert row.holds
    for error in (1.01 * MAX_RELATIVE_ERROR[precision], float("nan"), float("inf")):
        assert not replace(row, relative_error=error).holds
    assert not replace(row, precision="int2", relative_error=1e-9).holds
