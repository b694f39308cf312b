"""Weights: a matching checkpoint loads bit-exactly, any other is refused with a clear message."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from flashworld.checkpoints.conversion import check_weights, convert_weights
from flashworld.checkpoints.converted import write_converted
from flashworld.checkpoints.loading import checked_states, load_networks, model_config, open_model
from flashworld.checkpoints.manifest import full_manifest, require_same
from flashworld.config import FULL
from flashworld.errors import CheckpointError, WriteError
from flashworld.models.networks import FLOAT32_PARTS, build_networks, random_networks, stored_dtype
from flashworld.models.still_frame import ENCODER_PREFIXES, still_frame_state
from flashworld.models.transformer import ROPE_BUFFERS
from tests.golden.conftest import golden_model_config
from tests.unit.published_layout import part_of, write_published


@pytest.fixture(scope="module")
def published(golden_dir, tmp_path_factory):
    """Config, Wan folder and model.ckpt of a tiny model."""
    config = golden_model_config(golden_dir)
    return config, *write_published(golden_dir, tmp_path_factory.mktemp("published"), config)


@pytest.fixture
def copy(published, tmp_path):
    """A copy to damage."""
    config, wan, checkpoint = published
    shutil.copytree(wan, tmp_path / "wan")
    shutil.copy(checkpoint, tmp_path / "model.ckpt")
    return config, tmp_path / "wan", tmp_path / "model.ckpt"


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    config, wan, checkpoint = published
    folder = tmp_path_factory.mktemp("converted") / "model"
    convert_weights(checkpoint, folder, wan=wan, config=config, shard_bytes=1_000_000)
    return folder


def load(paths, **options):
    config, wan, checkpoint = paths
    return load_networks(checkpoint, wan=wan, config=config, **options).networks


def states(networks) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": t for n, module in networks.modules.items() for k, t in module.state_dict().items()}


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]):
    assert set(a) == set(b)
    for name, tensor in a.items():
        assert tensor.dtype == b[name].dtype and torch.equal(tensor, b[name]), name


def resave(checkpoint, change):
    data = torch.load(checkpoint, weights_only=True)
    change(data)
    torch.save(data, checkpoint)


def test_every_tensor_is_loaded_bit_exactly(published, golden_dir):
    networks = load(published)
    weights = load_file(golden_dir / "weights.safetensors")
    expected = {f"transformer.{n}": t for n, t in part_of(weights, "transformer.").items()}
    expected |= {f"gaussian_decoder.{n}": t for n, t in still_frame_state(part_of(weights, "recon_decoder.")).items()}
    expected |= {f"vae_encoder.{n}": t for n, t in still_frame_state(part_of(weights, "vae.")).items()}
    found = states(networks)
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    rope = {f"transformer.{name}" for name in ROPE_BUFFERS}
    assert rope <= set(found) and not any(t.is_meta for t in found.values())
    assert networks.text.encoder.shared.weight is networks.text.encoder.encoder.embed_tokens.weight
    assert networks.text("a house").shape == (1, 512, 32)


def test_casting_keeps_the_float32_parts(published):
    networks = load(published, dtype=torch.bfloat16)
    assert networks.dtype == torch.bfloat16
    for network, module in networks.modules.items():
        for name, tensor in module.state_dict().items():
            assert tensor.dtype == stored_dtype(name, torch.bfloat16, FLOAT32_PARTS[network]), name


def test_progress_covers_every_network(published):
    seen = {}
    load(published, on_progress=lambda what, done, total: seen.__setitem__(what, (done, total)))
    assert len(seen) == 4 and all(done <= total for done, total in seen.values())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_converted_model_is_the_same_model(published, tmp_path, dtype):
    config, wan, checkpoint = published
    convert_weights(checkpoint, tmp_path / "out", wan=wan, config=config, dtype=dtype, shard_bytes=500_000)
    assert len(list((tmp_path / "out").glob("weights-*.safetensors"))) > 3
    back = load_networks(tmp_path / "out", dtype=dtype)
    assert back.trained and back.networks.config == config == model_config(tmp_path / "out")
    assert_equal(states(back.networks), states(load(published, dtype=dtype)))
    text = "a röd house 家"
    assert back.networks.text.token_ids(text) == load(published).text.token_ids(text)


def test_a_check_reports_what_is_there(published, converted):
    config, wan, checkpoint = published
    report = check_weights(checkpoint, wan=wan, config=config)
    assert report.hashes == "not published" and set(report.dtypes) == {"float32"}
    report = check_weights(converted)
    assert report.hashes == "verified" and set(report.dtypes) == {"bfloat16", "float32"}
    assert report.tensors == len(states(load(published))) - len(ROPE_BUFFERS)


def test_a_tampered_shard_is_detected_by_its_hash(converted, tmp_path):
    folder = shutil.copytree(converted, tmp_path / "model")
    shard = sorted(folder.glob("weights-*"))[1]
    data = bytearray(shard.read_bytes())
    data[-100] ^= 1
    shard.write_bytes(data)
    with pytest.raises(CheckpointError, match="SHA-256"):
        check_weights(folder)


SPOILS = {
    "truncated shard": lambda f: cut(sorted(f.glob("weights-*"))[0]),
    "missing shard": lambda f: sorted(f.glob("weights-*"))[0].unlink(),
    "missing tokenizer": lambda f: (f / "tokenizer.json").unlink(),
    "manifest not JSON": lambda f: (f / "flashworld.json").write_text("{"),
    "manifest of another version": lambda f: edit(f / "flashworld.json", version=2),
    "manifest that leaves the folder": lambda f: edit(
        f / "flashworld.json", files={"../x": {"bytes": 1, "sha256": ""}}
    ),
    "longer config": lambda f: (f / "config.json").write_text("{}"),
}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", SPOILS)
def test_a_damaged_folder_is_refused(converted, tmp_path, name):
    folder = shutil.copytree(converted, tmp_path / "model")
    SPOILS[name](folder)
    with pytest.raises(CheckpointError) as caught:
        load_networks(folder)
    assert "\n" not in str(caught.value)


def test_a_false_shard_header_is_refused(converted, tmp_path):
    folder = shutil.copytree(converted, tmp_path / "model")
    shard = sorted(folder.glob("weights-*"))[0]
    tensors = load_file(shard)
    tensors["transformer.extra"] = tensors.pop(next(iter(tensors)))
    save_file(tensors, shard)
    edit(folder / "flashworld.json", files=json.loads((folder / "flashworld.json").read_text())["files"]
         | {shard.name: {"bytes": shard.stat().st_size, "sha256": ""}})  # fmt: skip
    with pytest.raises(CheckpointError, match="different tensors"):
        load_networks(folder)


def test_differences_are_reported_readably(copy):
    def change(data):
        part = data["transformer"]
        part["proj_out.weight"] = part["proj_out.weight"][:-1]
        part["stranger"] = part.pop("proj_out.bias")

    resave(copy[2], change)
    with pytest.raises(CheckpointError) as caught:
        load(copy)
    message = str(caught.value)
    for part in (
        "transformer does not fit",
        "1 missing (proj_out.bias)",
        "1 unexpected (stranger)",
        "proj_out.weight: expected 4288x48, got 4287x48",
    ):
        assert part in message


def test_long_lists_of_differences_are_truncated():
    with pytest.raises(CheckpointError, match=r"9 missing \(a0, a1, a2, \.\.\.\)"):
        require_same({f"a{i}": () for i in range(9)}, {}, "x")


@pytest.mark.parametrize("part", ["transformer", "recon_decoder"])
def test_a_checkpoint_without_a_part_is_refused(copy, part):
    resave(copy[2], lambda data: data.pop(part))
    with pytest.raises(CheckpointError, match=part):
        load(copy)


class Payload:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.parametrize("value", [Payload(), {"transformer": Payload()}, [1, 2], {"transformer": {"a": "text"}}])
def test_pickles_with_anything_but_tensors_are_refused(copy, value, capsys):
    torch.save(value, copy[2])
    with pytest.raises(CheckpointError):
        load(copy)
    assert "code ran" not in capsys.readouterr().out


def test_damaged_files_are_refused(copy):
    cut(copy[2])
    with pytest.raises(CheckpointError, match=r"model\.ckpt"):
        load(copy)
    copy[2].write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model\.ckpt"):
        load(copy)


@pytest.mark.parametrize(
    "name",
    [
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model-00001-of-00002.safetensors",
        "tokenizer/tokenizer.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors.index.json",
    ],
)
def test_damaged_wan_files_are_refused(copy, name):
    cut(copy[1] / name)
    with pytest.raises(CheckpointError):
        load(copy)
    (copy[1] / name).unlink()
    with pytest.raises(CheckpointError, match="has no"):
        load(copy)


def test_other_head_sizes_are_refused(copy):
    edit(copy[1] / "text_encoder/config.json", num_heads=2, d_kv=16)
    with pytest.raises(CheckpointError, match="text encoder: d_kv must be 8, got 16"):
        load(copy)


def test_an_index_pointing_outside_its_folder_is_refused(copy):
    edit(copy[1] / "text_encoder/model.safetensors.index.json", weight_map={"shared.weight": "../../x"})
    with pytest.raises(CheckpointError, match="beside it"):
        load(copy)


@pytest.mark.parametrize("source", ["", "no such folder", "/", "full.ckpt", "a" * 300, "a\0b"])
def test_an_unknown_source_is_refused(source, tmp_path):
    with pytest.raises(CheckpointError, match="expected"):
        load_networks(tmp_path / source if source != "/" else source)
    with pytest.raises(CheckpointError, match="expected"):
        model_config(tmp_path / source)


def test_converting_never_overwrites_or_leaves_partial_files(published, converted, tmp_path):
    config, wan, checkpoint = published
    with pytest.raises(WriteError, match="empty folder"):
        convert_weights(checkpoint, converted, wan=wan, config=config)
    opened = open_model(checkpoint, wan=wan, config=config)
    broken = {n: dict(s) for n, s in checked_states(opened).items()}
    name = next(iter(broken["gaussian_decoder"]))

    def fail():
        raise KeyboardInterrupt

    broken["gaussian_decoder"][name] = type(broken["gaussian_decoder"][name])((4,), torch.float32, fail)
    with pytest.raises(KeyboardInterrupt):
        write_converted(tmp_path / "out", config, opened.tokenizer, broken, dtype=torch.float32, shard_bytes=100_000)
    assert not list((tmp_path / "out").iterdir())


def test_the_packaged_manifest_matches_the_full_networks():
    modules = build_networks(FULL, "meta").modules
    manifest = {
        part: {n: torch.empty(s, device="meta") for n, s in rows.items()} for part, rows in full_manifest().items()
    }
    vae = {n: t for n, t in manifest["vae"].items() if n.startswith(ENCODER_PREFIXES)}
    for network, state in {
        "transformer": manifest["transformer"],
        "gaussian_decoder": still_frame_state(manifest["recon_decoder"]),
        "vae_encoder": still_frame_state(vae),
    }.items():
        wanted = {n: tuple(t.shape) for n, t in modules[network].state_dict().items()}
        require_same(wanted, {n: tuple(t.shape) for n, t in state.items()}, network)
    counts = {part: sum(t.numel() for t in rows.values()) for part, rows in manifest.items()}
    assert counts == {"transformer": 5_026_211_008, "recon_decoder": 207_832_776, "vae": 704_688_668}


def test_random_weights_do_not_pass_for_published_ones(published, tmp_path):
    networks = random_networks(published[0], 1)
    torch.save({"transformer": networks.transformer.state_dict(), "recon_decoder": {}}, tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match="unexpected"):
        load((published[0], published[1], tmp_path / "model.ckpt"))
