from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from flashworld.errors import TransferError
from flashworld.gaussians import Gaussians
from flashworld.inputs import build_request
from flashworld.serving import shared_arrays
from flashworld.serving.transfer import PackedResult, pack, unpack, use_shared_memory


def random_scene(count: int = 500) -> Gaussians:
    return Gaussians(
        means=torch.randn(count, 3) * 10,
        quats_wxyz=torch.randn(count, 4),
        scales=torch.exp(torch.randn(count, 3) * 2 - 4),
        opacities=torch.rand(count),
        sh=torch.randn(count, 9, 3),
    )


def test_packed_scene_survives_a_pickle_within_the_stated_precision():
    scene = random_scene()
    back = unpack(pickle.loads(pickle.dumps(pack(scene))))
    assert torch.equal(back.means, scene.means)
    unit = torch.nn.functional.normalize(scene.quats_wxyz, dim=1)
    assert float((back.quats_wxyz - unit).abs().max()) < 1e-3
    assert float((back.scales / scene.scales - 1).abs().max()) < 4e-3
    assert float((back.opacities - scene.opacities).abs().max()) < 5e-4
    assert float((back.sh - scene.sh).abs().max()) < 2e-3


def test_extreme_opacities_and_scales_stay_finite():
    scene = random_scene(4)
    scene = Gaussians(
        scene.means, scene.quats_wxyz, torch.tensor([[0.0, 1e-30, 1e6]] * 4), torch.tensor([0, 1, 0.5, 1.0]), scene.sh
    )
    back = unpack(pack(scene))
    for value in (back.scales, back.opacities, back.quats_wxyz):
        assert torch.isfinite(value).all()
    assert float(back.opacities[1]) > 0.999
    assert float(back.opacities[0]) < 1e-3


def test_packed_bytes_match_the_docstring():
    assert pack(random_scene(100)).nbytes == 100 * 82


def a_result(film: bool = True, picture: bool = True) -> PackedResult:
    images = np.random.default_rng(1).integers(0, 256, (4, 4, 5, 3), dtype=np.uint8)
    frames, view = images[1:] if film else None, images[0] if picture else None
    return PackedResult(pack(random_scene()), frames, "a model", {"total": 1.5}, picture=view)


def assert_same(one: PackedResult, other: PackedResult) -> None:
    assert (one.model, one.timings) == (other.model, other.timings)
    for mine, theirs in zip(one.scene.arrays, other.scene.arrays, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in ((one.frames, other.frames), (one.picture, other.picture)):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            np.testing.assert_array_equal(mine, theirs)


@pytest.fixture
def shared_memory():
    use_shared_memory(True)
    yield
    use_shared_memory(False)


@pytest.mark.parametrize(("film", "picture"), [(True, True), (False, True), (True, False), (False, False)])
def test_result_of_a_forked_worker_arrives_intact_in_a_small_message(shared_memory, film, picture):
    result = a_result(film, picture)
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()

    def work() -> None:
        theirs.send_bytes(pickle.dumps(result))
        theirs.recv()

    worker = context.Process(target=work)
    worker.start()
    data = mine.recv_bytes()
    received = pickle.loads(data)
    mine.send(None)
    worker.join()
    assert len(data) < 2000
    assert_same(received, result)
    received.scene.means[0] = 7.0  # owned by this process, though the worker has exited
    assert float(unpack(received.scene).means[0, 0]) == 7.0


def test_receiving_a_released_result_is_an_error_and_reads_nothing_else(shared_memory, monkeypatch):
    handle = shared_arrays.share([np.arange(5)], hold_s=1e-3)
    while os.path.exists(f"/proc/self/fd/{handle.fd}"):  # noqa: PTH110 - a link that leads nowhere
        pass
    other = os.memfd_create("other")
    try:
        os.ftruncate(other, handle.size)
        again = replace(handle, fd=other)  # other memory of the same size, as if the descriptor had been reused
        with pytest.raises(TransferError, match="closed its shared memory"):
            shared_arrays.receive(again)
    finally:
        os.close(other)
    with pytest.raises(TransferError, match="cannot be read"):
        shared_arrays.receive(handle)
    monkeypatch.setattr(shared_arrays, "share", lambda _arrays: handle)
    received = pickle.loads(pickle.dumps(a_result()))
    request = build_request(text="grass", frames=2, height=64, width=64, seed=1)
    with pytest.raises(TransferError, match="cannot be read"):
        received.unpack(request)


def test_sender_holds_one_result_at_a_time():
    first, second = (shared_arrays.share([np.full(3, value)]) for value in (1, 2))
    assert shared_arrays.receive(second)[0].tolist() == [2, 2, 2]
    with pytest.raises(TransferError):
        shared_arrays.receive(first)


def test_without_shared_memory_the_arrays_go_through_the_pipe(shared_memory, monkeypatch, caplog):
    def full(*_args):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "pwrite", full)
    result = a_result()
    assert_same(pickle.loads(pickle.dumps(result)), result)
    assert "sending it through the pipe" in caplog.text


def test_this_machine_shares_memory_with_its_children():
    assert shared_arrays.works()
