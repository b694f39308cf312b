"""PLY files: exact round trips, the standard layout as other readers see it, unusual and hostile files."""

from __future__ import annotations

import tracemalloc

import numpy as np
import plyfile
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flashworld import limits
from flashworld.cameras import quat_to_matrix
from flashworld.errors import SceneError, SceneFileError
from flashworld.gaussians import Gaussians
from flashworld.io.scenes import ply
from flashworld.io.scenes.axes import SH_SIGNS
from flashworld.io.scenes.chunks import CHUNK_ROWS
from flashworld.io.scenes.ply import read_ply, write_ply

HALF_TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
FIELDS = ("means", "quats_wxyz", "scales", "opacities", "sh")


def assert_same(found: Gaussians, expected: Gaussians) -> None:
    for field in FIELDS:
        torch.testing.assert_close(getattr(found, field), getattr(expected, field), rtol=2e-6, atol=1e-7)


def covariances(quats: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    rotations = quat_to_matrix(torch.nn.functional.normalize(quats, dim=1))
    return rotations @ torch.diag_embed(scales**2) @ rotations.mT


def columns_of(path) -> np.ndarray:
    return plyfile.PlyData.read(str(path))["vertex"].data


def sh_of(table: np.ndarray, higher: int) -> torch.Tensor:
    """(N, K, 3) from the standard columns, as any other reader takes them."""
    dc = np.stack([table[f"f_dc_{c}"] for c in range(3)], axis=1)[:, None]
    rest = np.stack([table[f"f_rest_{i}"] for i in range(3 * higher)], axis=1).reshape(-1, 3, higher)
    return torch.from_numpy(np.concatenate([dc, rest.transpose(0, 2, 1)], axis=1))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_writing_then_reading_is_the_identity(degree, make_scene, tmp_path):
    scene = make_scene(degree=degree)
    write_ply(scene, tmp_path / "a.ply")
    found = read_ply(tmp_path / "a.ply")
    for field in ("means", "quats_wxyz", "sh"):  # only signs are flipped, twice: bit-exact
        assert torch.equal(getattr(found, field), getattr(scene, field))
    assert_same(found, scene)


def test_round_trip_over_several_slices(make_scene, tmp_path):
    scene = make_scene(count=2 * CHUNK_ROWS + 17, degree=1)
    write_ply(scene, tmp_path / "a.ply")
    assert_same(read_ply(tmp_path / "a.ply"), scene)


def test_strided_views_and_other_types_are_written_alike(make_scene, tmp_path):
    scene = make_scene()
    write_ply(scene, tmp_path / "a.ply")
    write_ply(Gaussians.from_vectors(scene.to_vectors()), tmp_path / "b.ply")
    write_ply(scene.to(torch.float64), tmp_path / "c.ply")
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes() == (tmp_path / "c.ply").read_bytes()


def test_extreme_opacities_and_scales_stay_finite_and_come_back(make_scene, tmp_path):
    scene = make_scene(count=4)
    scene.opacities[:] = torch.tensor([0.0, 1.0, 1e-7, 1 - 2**-24])
    scene.scales[0] = torch.tensor([0.0, 1e-9, 1e6])
    write_ply(scene, tmp_path / "a.ply")
    table = columns_of(tmp_path / "a.ply")
    assert all(np.isfinite(table[name]).all() for name in table.dtype.names)
    found = read_ply(tmp_path / "a.ply")
    torch.testing.assert_close(found.opacities, scene.opacities, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(found.scales[0], torch.tensor([1e-12, 1e-9, 1e6]), rtol=1e-5, atol=0)


def test_header_and_columns_are_the_standard_ones(make_scene, tmp_path):
    scene = make_scene(count=7)
    write_ply(scene, tmp_path / "a.ply", comments=["one\nelement face 3", "zwei ü", ""])
    data = (tmp_path / "a.ply").read_bytes()
    header = data[: data.index(b"end_header\n") + 11].decode("ascii").split("\n")
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert header[3:6] == ["comment axes right-down-forward", "comment one element face 3", "comment zwei ?"]
    assert [line for line in header if line.startswith("element")] == ["element vertex 7"]
    names = [line.split()[2] for line in header if line.startswith("property float ")]
    rest = [f"f_rest_{i}" for i in range(24)]
    tail = ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    assert names == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, *tail]
    table = columns_of(tmp_path / "a.ply")
    np.testing.assert_array_equal(table["y"], -scene.means[:, 1].numpy())
    np.testing.assert_array_equal(table["f_rest_9"], sh_of(table, 8)[:, 2, 1])  # green of the third coefficient
    assert not table["nx"].any()
    np.testing.assert_allclose(table["opacity"], torch.logit(scene.opacities), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(table["scale_1"], scene.scales[:, 1].log(), rtol=1e-6)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_file_keeps_view_dependent_colour_and_shape(degree, make_scene, evaluate_sh, tmp_path):
    scene = make_scene(degree=degree)
    write_ply(scene, tmp_path / "a.ply")
    table = columns_of(tmp_path / "a.ply")
    directions = torch.nn.functional.normalize(torch.randn(len(scene), 3), dim=1)
    seen = evaluate_sh(sh_of(table, (degree + 1) ** 2 - 1), directions @ HALF_TURN)
    torch.testing.assert_close(seen, evaluate_sh(scene.sh, directions))
    quats = torch.from_numpy(np.stack([table[f"rot_{i}"] for i in range(4)], axis=1))
    expected = HALF_TURN @ covariances(scene.quats_wxyz, scene.scales) @ HALF_TURN
    torch.testing.assert_close(covariances(quats, scene.scales), expected)


def test_every_sign_of_the_half_turn_is_needed(evaluate_sh):
    directions = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    for k in range(16):
        sh = torch.zeros(50, 16, 3, dtype=torch.float64)
        sh[:, k] = 1
        turned = evaluate_sh(sh, directions @ HALF_TURN.double())
        torch.testing.assert_close(turned, SH_SIGNS[k] * evaluate_sh(sh, directions))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_independent_reader_agrees(degree, gsply, make_scene, tmp_path):
    scene = make_scene(degree=degree)
    write_ply(scene, tmp_path / "a.ply")
    other = gsply.plyread(tmp_path / "a.ply")
    np.testing.assert_array_equal(other.means, (scene.means @ HALF_TURN).numpy())
    np.testing.assert_array_equal(other.sh0, scene.sh[:, 0].numpy())
    signs = SH_SIGNS[1 : scene.sh.shape[1], None]
    np.testing.assert_array_equal(other.shN, scene.sh[:, 1:].numpy() * signs)
    np.testing.assert_array_equal(other.quats, scene.quats_wxyz.numpy() * [1, 1, -1, -1])
    np.testing.assert_allclose(1 / (1 + np.exp(-other.opacities)), scene.opacities, atol=1e-6)
    np.testing.assert_allclose(np.exp(other.scales), scene.scales, rtol=1e-6)


def test_file_of_an_independent_writer_is_read(gsply, make_scene, tmp_path):
    scene = make_scene()
    data = gsply.GSData.from_arrays(
        means=scene.means.numpy(), scales=scene.scales.log().numpy(), quats=scene.quats_wxyz.numpy(),
        opacities=torch.logit(scene.opacities).numpy(), sh0=scene.sh[:, 0].numpy(), shN=scene.sh[:, 1:].numpy(),
        format="ply",
    )  # fmt: skip
    gsply.plywrite(tmp_path / "a.ply", data)
    found = read_ply(tmp_path / "a.ply")
    torch.testing.assert_close(found.means, scene.means @ HALF_TURN)
    torch.testing.assert_close(found.sh[:, 1:], scene.sh[:, 1:] * torch.from_numpy(SH_SIGNS[1:9, None]))


def rewritten(source, target, *, types=None, order=None, extra=False, **options) -> None:
    """The same scene with other number types, column order, extra columns and elements, through plyfile."""
    table = columns_of(source)
    names = [name for name in (order or table.dtype.names)]
    kinds = {name: (types or {}).get(name, "f4") for name in names}
    fields = [(name, kinds[name]) for name in names] + ([("label", "u1"), ("id", "i4")] if extra else [])
    new = np.zeros(len(table), dtype=fields)
    for name in names:
        new[name] = table[name]
    elements = [plyfile.PlyElement.describe(new, "vertex")]
    if extra:
        before = plyfile.PlyElement.describe(np.zeros(3, dtype=[("a", "f4"), ("b", "u1")]), "camera")
        faces = np.empty(2, dtype=[("vertex_indices", "O")])
        faces["vertex_indices"] = [np.array([0, 1, 2]), np.array([1, 2, 3, 4])]
        after = plyfile.PlyElement.describe(faces, "face", val_types={"vertex_indices": "i4"})
        elements = [before, *elements, after]
    plyfile.PlyData(elements, **options).write(str(target))


@pytest.mark.parametrize("options", [{"byte_order": "<"}, {"byte_order": ">"}, {"text": True}])
@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("degree", [0, 2])
def test_columns_of_any_order_and_type_are_read_among_extra_ones(options, extra, degree, make_scene, tmp_path):
    scene = make_scene(count=20, degree=degree)
    write_ply(scene, tmp_path / "a.ply")
    kept = [name for name in columns_of(tmp_path / "a.ply").dtype.names if name not in ("nx", "ny", "nz")]
    order = [kept[i] for i in np.random.default_rng(0).permutation(len(kept))]
    types = {"x": "f8", "opacity": "f8", "f_dc_1": "f8"}
    rewritten(tmp_path / "a.ply", tmp_path / "b.ply", types=types, order=order, extra=extra, **options)
    assert_same(read_ply(tmp_path / "b.ply"), scene)


def test_whole_number_columns_and_crlf_headers_are_read(make_scene, tmp_path):
    scene = make_scene(count=3, degree=0)
    scene.means[:] = torch.tensor([[1.0, -2.0, -3.0]])
    write_ply(scene, tmp_path / "a.ply")
    rewritten(tmp_path / "a.ply", tmp_path / "b.ply", types={"x": "u1", "y": "i2", "z": "i4"}, byte_order="<")
    data = (tmp_path / "b.ply").read_bytes()
    end = data.index(b"end_header\n") + 11
    (tmp_path / "c.ply").write_bytes(data[:end].replace(b"\n", b"\r\n") + data[end:])
    assert_same(read_ply(tmp_path / "b.ply"), scene)
    assert_same(read_ply(tmp_path / "c.ply"), scene)


def original_layout(scene: Gaussians, path) -> None:
    """What the original FlashWorld writes: right-up-back axes, all SH as f_dc_*, coefficient-major, infinite logits."""
    names = ["x", "y", "z", *(f"f_dc_{i}" for i in range(27)), "opacity", *(f"scale_{i}" for i in range(3))]
    names += [f"rot_{i}" for i in range(4)]
    numbers = torch.cat(
        [scene.means, scene.sh.flatten(1), torch.logit(scene.opacities)[:, None], (scene.scales + 1e-8).log(),
         scene.quats_wxyz], dim=1,
    )  # fmt: skip
    table = np.ascontiguousarray(numbers.numpy()).view([(name, "f4") for name in names])[:, 0]
    plyfile.PlyData([plyfile.PlyElement.describe(table, "vertex")]).write(str(path))


def test_files_of_the_original_project_are_read_with_all_their_colour(make_scene, tmp_path):
    scene = make_scene()
    scene.opacities[:2] = torch.tensor([0.0, 1.0])  # logits of minus and plus infinity
    original_layout(scene, tmp_path / "a.ply")
    found = read_ply(tmp_path / "a.ply")
    for field in FIELDS:
        torch.testing.assert_close(getattr(found, field), getattr(scene, field), rtol=1e-5, atol=1e-6)


def test_axes_comment_is_honoured(make_scene, tmp_path):
    write_ply(make_scene(), tmp_path / "a.ply")
    data = (tmp_path / "a.ply").read_bytes()
    (tmp_path / "b.ply").write_bytes(data.replace(b"axes right-down-forward", b"axes right-up-back"))
    turned, kept = read_ply(tmp_path / "a.ply"), read_ply(tmp_path / "b.ply")
    torch.testing.assert_close(kept.means, turned.means @ HALF_TURN)


def test_memory_use_is_bounded(make_scene, tmp_path):
    scene = make_scene(count=400_000)  # 61 MB
    tracemalloc.start()
    try:
        write_ply(scene, tmp_path / "a.ply")
        assert tracemalloc.get_traced_memory()[1] < 25e6
        tracemalloc.reset_peak()
        read_ply(tmp_path / "a.ply")  # torch allocates the scene itself, which is not traced
        assert tracemalloc.get_traced_memory()[1] < 35e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("means", float("nan"), "means of the scene must be finite"),
        ("sh", float("inf"), "sh of the scene must be finite"),
        ("opacities", 1.5, "opacities must lie in"),
        ("scales", -1.0, "scales must not be negative"),
    ],
)
def test_bad_scenes_leave_no_file(field, value, words, make_scene, tmp_path):
    scene = make_scene(count=CHUNK_ROWS + 5)
    getattr(scene, field)[-1] = value  # in the second slice: the first is written by then
    with pytest.raises(SceneError, match=words):
        write_ply(scene, tmp_path / "a.ply")
    assert list(tmp_path.iterdir()) == []


def test_scenes_that_ply_cannot_hold_are_refused(make_scene, tmp_path):
    with pytest.raises(SceneError, match="no Gaussians"):
        write_ply(make_scene()[:0], tmp_path / "a.ply")
    with pytest.raises(SceneError, match="degree 3 at the most"):
        write_ply(make_scene(degree=4), tmp_path / "a.ply")
    scene = make_scene()
    scene.quats_wxyz[3] = 0
    with pytest.raises(SceneError, match="must not be zero"):
        write_ply(scene, tmp_path / "a.ply")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def good_bytes(make_scene, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("good") / "a.ply"
    write_ply(make_scene(count=30, degree=1), path)
    return path.read_bytes()


NAN = np.float32("nan").tobytes()
BODY = b"end_header\n"
HOSTILE = {
    "empty": (lambda d: b"", "1 to"),
    "not a PLY": (lambda d: b"hello" * 100, "expected a PLY header"),
    "no end of header": (lambda d: d[:200], "expected a PLY header"),
    "truncated": (lambda d: d[:-1], "too short"),
    "count lies": (lambda d: d.replace(b"vertex 30", b"vertex 31"), "too short"),
    "huge count": (lambda d: d.replace(b"vertex 30", b"vertex 15999999"), "too short"),
    "beyond the limit": (lambda d: d.replace(b"vertex 30", b"vertex 99999999999"), "1 to 16000000 Gaussians"),
    "endless count": (lambda d: d.replace(b"vertex 30", b"vertex " + b"9" * 5000), "must be a number"),
    "negative count": (lambda d: d.replace(b"vertex 30", b"vertex -1"), "must be a number"),
    "zero count": (lambda d: d.replace(b"vertex 30", b"vertex 0"), "got 0"),
    "column missing": (lambda d: d.replace(b"float rot_3", b"float rot_x"), "no column 'rot_3'"),
    "column twice": (lambda d: d.replace(b"float ny", b"float nx"), "twice"),
    "odd SH": (lambda d: d.replace(b"float f_rest_8", b"float f_rust_8"), "got 3 and 8"),
    "SH misnumbered": (lambda d: d.replace(b"float f_rest_8", b"float f_rest_9"), "no column 'f_rest_8'"),
    "list in vertex": (lambda d: d.replace(b"float nx", b"list uchar int nx"), "plain numbers"),
    "unknown type": (lambda d: d.replace(b"float nx", b"quad nx"), "is not a property"),
    "unknown format": (lambda d: d.replace(b"little_endian 1.0", b"middle_endian 1.0"), "is not understood"),
    "no vertices": (lambda d: d.replace(b"vertex 30", b"point 30"), "element 'vertex'"),
    "compressed": (
        lambda d: d.replace(b"element vertex", b"element chunk 1\nelement vertex"),
        "of a compressed PLY has no column",
    ),
    "NaN": (lambda d: d.replace(BODY + d.split(BODY)[1][:4], BODY + NAN), "means must be finite"),
    "huge element before": (
        lambda d: d.replace(b"element vertex", b"element a 999999999999\nproperty double b\nelement vertex"),
        "too short",
    ),
    "list before": (
        lambda d: d.replace(b"element vertex", b"element a 9\nproperty list int int b\nelement vertex"),
        "vertices before",
    ),
    "text that is binary": (lambda d: d.replace(b"binary_little_endian", b"ascii"), "not readable|too short|longer"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence_within_little_memory(case, good_bytes, tmp_path):
    make, words = HOSTILE[case]
    (tmp_path / "a.ply").write_bytes(make(good_bytes))
    tracemalloc.start()
    try:
        with pytest.raises(SceneFileError, match=words) as caught:
            read_ply(tmp_path / "a.ply")
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith("a.ply: ")
    assert "\n" not in message
    assert len(message) < 300


def test_zero_rotations_and_overflow_are_refused(make_scene, tmp_path):
    write_ply(make_scene(count=3, degree=0), tmp_path / "a.ply")
    table = columns_of(tmp_path / "a.ply").copy()
    for change, words in (({"scale_0": 100.0}, "scales must be finite"), ({f"rot_{i}": 0 for i in range(4)}, "zero")):
        broken = table.copy()
        for name, value in change.items():
            broken[name] = value
        plyfile.PlyData([plyfile.PlyElement.describe(broken, "vertex")]).write(str(tmp_path / "b.ply"))
        with pytest.raises(SceneFileError, match=words):
            read_ply(tmp_path / "b.ply")


def test_missing_files_folders_and_too_large_files_are_refused(tmp_path):
    for path, words in ((tmp_path / "no.ply", "cannot be read"), (tmp_path, "expected a file")):
        with pytest.raises(SceneFileError, match=words):
            read_ply(path)
    with (tmp_path / "big.ply").open("wb") as file:
        file.truncate(limits.MAX_SCENE_FILE_BYTES + 1)  # sparse: takes no disk
    with pytest.raises(SceneFileError, match="got 2147483649"):
        read_ply(tmp_path / "big.ply")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, 10**6), st.binary(min_size=0, max_size=12), st.integers(0, 12)), max_size=4
    ),
    cut=st.integers(0, 10**6),
)
def test_damaged_files_give_a_scene_or_a_scene_file_error(edits, cut, good_bytes, tmp_path):
    data = bytearray(good_bytes)
    for position, new, removed in edits:
        start = position % (len(data) + 1) if position % 3 else position % 600  # the header more often
        data[start : start + removed] = new
    if cut % 4 == 0:
        del data[cut % (len(data) + 1) :]
    (tmp_path / "a.ply").write_bytes(data)
    try:
        scene = read_ply(tmp_path / "a.ply")
    except SceneFileError as error:
        assert "\n" not in str(error)
    else:
        assert all(torch.isfinite(getattr(scene, field)).all() for field in FIELDS)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.text(alphabet="0123456789.-+eEnaif \n\r\t#,x", max_size=400), count=st.integers(0, 20))
def test_random_text_bodies_give_a_scene_or_a_scene_file_error(body, count, tmp_path):
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
    lines = "".join(f"property float {name}\n" for name in [*names, "rot_0", "rot_1", "rot_2", "rot_3"])
    text = f"ply\nformat ascii 1.0\nelement vertex {count}\n{lines}end_header\n{body}"
    (tmp_path / "a.ply").write_bytes(text.encode())
    try:
        read_ply(tmp_path / "a.ply")
    except SceneFileError:
        pass


def test_header_comments_are_bounded(make_scene, tmp_path):
    write_ply(make_scene(count=1), tmp_path / "a.ply", comments=["x" * 5000] * 1000)
    header = (tmp_path / "a.ply").read_bytes().split(b"end_header")[0]
    assert len(header) < 10_000
    assert header.count(b"comment") == 2 + ply.MAX_COMMENTS


def test_an_endless_line_is_named_as_such(tmp_path):
    names = "x y z f_dc_0 f_dc_1 f_dc_2 opacity scale_0 scale_1 scale_2 rot_0 rot_1 rot_2 rot_3".split()
    header = [
        "ply",
        "format ascii 1.0",
        "element vertex 1",
        *(f"property float {name}" for name in names),
        "end_header\n",
    ]
    (tmp_path / "a.ply").write_text("\n".join(header) + "1" * 70_000)
    with pytest.raises(SceneFileError, match="a line of the file is longer than 65536 bytes"):
        read_ply(tmp_path / "a.ply")
