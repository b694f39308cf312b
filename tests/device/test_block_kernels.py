"""Triton kernels on a GPU against the same operations in torch, at the model's own widths."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from flashworld.models import block_ops, int8, sub_pixel
from flashworld.models.residual_blocks import NORM_EPS, add_norm_silu_kernel
from flashworld.models.triton_use import kernels_start

pytestmark = pytest.mark.requires_cuda
TOKENS, WIDTH, HIDDEN, HEAD = 300, 3072, 14336, 128


def both(monkeypatch, operation, *arguments, **options):
    """The result of the kernel, then of torch."""
    assert kernels_start(arguments[0].device)
    found = operation(*arguments, **options)
    monkeypatch.setattr(block_ops, "kernels_run", lambda x: False)
    wanted = operation(*arguments, **options)
    monkeypatch.undo()
    return found, wanted


def assert_same_numbers(found, wanted):
    """e4m3 and scales: bfloat16 may round the other way, which moves few values by one step."""
    (q, scale), (q2, scale2) = found[-2:], wanted[-2:]
    assert (q.float() == q2.float()).float().mean() > 0.999
    torch.testing.assert_close(scale, scale2, rtol=1e-2, atol=0)
    torch.testing.assert_close(q.float() * scale, q2.float() * scale2, rtol=0.13, atol=1e-2)


@pytest.mark.parametrize("adds", ["nothing", "y", "y with a gate"])
def test_norm_quantize(monkeypatch, adds):
    x, y = torch.randn(2, TOKENS, WIDTH, device="cuda").bfloat16()
    gain, offset, gate = torch.randn(3, WIDTH, device="cuda")
    arguments = (x, None if adds == "nothing" else y, gate if "gate" in adds else None, gain, offset, 1e-6)
    found, wanted = both(monkeypatch, block_ops.norm_quantize, *arguments)
    torch.testing.assert_close(found[0], wanted[0], rtol=8e-3, atol=1e-3)
    assert_same_numbers(found, wanted)


@pytest.mark.parametrize("gelu", [False, True])
def test_quantize(monkeypatch, gelu):
    x = torch.randn(TOKENS, HIDDEN if gelu else WIDTH, device="cuda").bfloat16()
    assert_same_numbers(*both(monkeypatch, block_ops.quantize, x, gelu=gelu))


@pytest.mark.parametrize("turns", [False, True])
def test_norm_rotate(monkeypatch, turns):
    x, gain = torch.randn(TOKENS, 3 * WIDTH, device="cuda").bfloat16(), torch.rand(WIDTH, device="cuda").bfloat16()
    angles = torch.randn(TOKENS, HEAD // 2, device="cuda").repeat_interleave(2, 1)
    rotary = (angles.cos(), angles.sin()) if turns else None
    found, wanted = both(monkeypatch, block_ops.norm_rotate, x, WIDTH, gain, rotary, 1e-6)
    torch.testing.assert_close(found, wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("texts", [2, 21, 200, 512])
def test_text_attention(monkeypatch, texts):
    query, context = (torch.randn(n, WIDTH, device="cuda").bfloat16() for n in (TOKENS, 3 * 2 * texts))
    context = context.unflatten(0, (3, 2, texts))
    found, wanted = both(monkeypatch, block_ops.text_attention, query, context, 1, WIDTH // HEAD, 512)
    exact = block_ops.text_attention(query.float(), context.float(), 1, WIDTH // HEAD, 512)
    errors = [float((t.float() - exact).norm() / exact.norm()) for t in (found, wanted)]
    assert errors[0] < 1.1 * errors[1] < 0.01


@pytest.mark.parametrize("tokens", [1, 21, 32, 33, 64, 200])
@pytest.mark.parametrize(("outputs", "inputs"), [(4096, 4096), (10240, 4096), (4096, 10240)])
def test_int8_linear(monkeypatch, outputs, inputs, tokens):
    x, bias = torch.randn(1, tokens, inputs, device="cuda").bfloat16(), torch.randn(outputs, device="cuda").bfloat16()
    weight = torch.randint(-127, 128, (outputs, inputs), device="cuda", dtype=torch.int8)
    scale = torch.rand(outputs, device="cuda") / 127
    assert kernels_start(x.device)
    for added in (None, bias):
        found = int8.int8_linear(x, weight, scale, added)
        monkeypatch.setattr(int8, "kernels_run", lambda x: False)
        wanted = int8.int8_linear(x, weight, scale, added)
        monkeypatch.undo()
        exact = x.double() @ weight.double().T * scale.double() + (0 if added is None else added.double())
        errors = [float((t.double() - exact).norm() / exact.norm()) for t in (found, wanted)]
        assert errors[0] < 1.01 * errors[1] < 0.01


@pytest.mark.parametrize("spread", [1, 2, 4])
def test_interleave(monkeypatch, spread):
    layout = {"memory_format": torch.channels_last}
    squares = torch.randn(3, 4 * 96, 8, 12, device="cuda").bfloat16().contiguous(**layout)
    shortcut = torch.randn(3, spread * 96, 7, 11, device="cuda").bfloat16().contiguous(**layout)
    bias = torch.randn(4 * 96, device="cuda").bfloat16()
    found = sub_pixel.interleave(squares, bias, shortcut)
    monkeypatch.setattr(sub_pixel, "kernels_run", lambda x: False)
    wanted = sub_pixel.interleave(squares.float(), bias.float(), shortcut.float())
    assert found.is_contiguous(**layout)
    torch.testing.assert_close(found.float(), wanted, rtol=8e-3, atol=1e-6)


@pytest.mark.parametrize(("channels", "stride"), [(160, 192), (320, 320), (640, 640), (256, 256), (1024, 1024)])
@pytest.mark.parametrize("added", [False, True])
def test_add_norm_silu(channels, stride, added):
    layout = {"memory_format": torch.channels_last}
    x, shortcut = (torch.randn(3, c, 7, 11, device="cuda").bfloat16().contiguous(**layout) for c in (stride, channels))
    bias, gamma = torch.randn(2, channels, device="cuda").bfloat16()
    total, found = add_norm_silu_kernel(x, bias, shortcut if added else None, gamma, NORM_EPS)
    wanted = x[:, :channels].float() + bias.float()[:, None, None] + (shortcut.float() if added else 0)
    if added:
        torch.testing.assert_close(total.float(), wanted, rtol=8e-3, atol=1e-6)
        wanted = total.float()
    normed = F.rms_norm(wanted.movedim(1, -1), gamma.shape, gamma.float(), NORM_EPS).movedim(-1, 1)
    torch.testing.assert_close(found.float(), F.silu(normed), rtol=8e-3, atol=1e-5)
    assert found.is_contiguous(**layout)
