"""Pictures: every file format is read upright in RGB, and every hostile file raises ImageError."""

from __future__ import annotations

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from flashworld.errors import ImageError
from flashworld.io.images.crops import crop_box, photo_intrinsics, prepare_picture
from flashworld.io.images.reading import read_picture
from flashworld.limits import MAX_IMAGE_BYTES

ROWS, COLUMNS = 24, 40


def gradient(rows=ROWS, columns=COLUMNS) -> np.ndarray:
    """Smooth, and different in every corner: it survives codecs, and mirroring and rotation are visible."""
    y, x = np.mgrid[0:rows, 0:columns]
    return np.stack([255 * x / columns, 255 * y / rows, np.full_like(x, 40)], axis=-1).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options) -> bytes:
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds almost no data."""

    def chunk(tag: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


LOSSY = {"JPEG": {"quality": 95}, "AVIF": {"quality": 95}, "HEIF": {"quality": 95}, "GIF": {}}
LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "PPM": {}, "JPEG2000": {}}
FILES = {kind: encode(Image.fromarray(gradient()), kind, **options) for kind, options in (LOSSY | LOSSLESS).items()}


@pytest.mark.parametrize("kind", FILES)
def test_every_format_is_read(kind):
    pixels = read_picture(FILES[kind]).pixels
    assert pixels.dtype == np.uint8 and pixels.shape == (ROWS, COLUMNS, 3)
    limit = 0 if kind in LOSSLESS else 30
    assert np.abs(pixels.astype(int) - gradient()).max() <= limit


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(kind, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the Transpose member that restores the stored orientation
    upright = Image.fromarray(gradient())
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind in LOSSY else {}
    pixels = read_picture(encode(stored, kind, exif=exif.tobytes(), **options)).pixels
    assert pixels.shape == (ROWS, COLUMNS, 3)
    assert np.abs(pixels.astype(int) - gradient()).mean() < 8


def test_transparent_pixels_become_white():
    rgba = np.dstack([gradient(), np.zeros((ROWS, COLUMNS), np.uint8)])
    rgba[:, :20, 3] = 255
    for source in (rgba, encode(Image.fromarray(rgba), "PNG"), Image.fromarray(rgba)):
        pixels = read_picture(source).pixels
        assert (pixels[:, :20] == gradient()[:, :20]).all()
        assert (pixels[:, 20:] == 255).all()


def test_half_transparent_grey_is_blended_with_white():
    grey = Image.new("LA", (32, 32), (100, 128))
    assert abs(int(read_picture(encode(grey, "PNG")).pixels[0, 0, 0]) - (100 * 128 + 255 * 127) / 255) <= 1


def test_palette_with_a_transparent_entry_is_composited():
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.paste(1, (0, 0, 16, 32))
    pixels = read_picture(encode(palette, "PNG", transparency=0)).pixels
    assert pixels[0, 0].tolist() == [40, 50, 60] and pixels[0, 31].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "colour", "rgb"),
    [
        ("1", 1, (255,) * 3),
        ("L", 77, (77,) * 3),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("YCbCr", (90, 128, 128), (90,) * 3),
    ],
)
def test_modes_become_rgb(mode, colour, rgb):
    assert read_picture(Image.new(mode, (32, 32), colour)).pixels[5, 5].tolist() == list(rgb)


def test_cmyk_jpeg_is_not_inverted():
    data = encode(Image.new("CMYK", (32, 32), (0, 0, 0, 255)), "JPEG")
    assert read_picture(data).pixels.max() < 10


def test_sixteen_bits_are_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(32, axis=0)
    expected = np.round(ramp / 257).astype(int)
    for source in (
        ramp,
        ramp.astype(">u2"),
        encode(Image.fromarray(ramp), "PNG"),
        encode(Image.fromarray(ramp), "TIFF"),
    ):
        assert np.abs(read_picture(source).pixels[..., 0].astype(int) - expected).max() <= 1


def test_first_frame_of_an_animation_is_used():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert read_picture(data).pixels[3, 3].tolist() == [255, 0, 0]


def test_float_arrays_and_grey_arrays_are_read():
    assert read_picture(np.full((16, 16), 0.5)).pixels[0, 0].tolist() == [128, 128, 128]
    assert read_picture(np.full((16, 16, 1), 9, np.uint8)).pixels[0, 0].tolist() == [9, 9, 9]
    assert (read_picture(gradient()[:, ::-1]).pixels == gradient()[:, ::-1]).all()


def test_focal_length_comes_from_the_diagonal():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    photo = read_picture(encode(Image.fromarray(gradient(48, 64)), "JPEG", exif=exif))
    assert photo.focal_px == pytest.approx(26 / np.hypot(36, 24) * 80)
    intrinsics = photo_intrinsics(photo, crop_box(48, 64, 96, 128), 96, 128)
    assert intrinsics.tolist() == pytest.approx([photo.focal_px / 64, photo.focal_px / 48, 0.5, 0.5])
    assert photo_intrinsics(read_picture(gradient()), crop_box(ROWS, COLUMNS, 32, 32), 32, 32) is None


def test_a_path_is_read(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(FILES["PNG"])  # the extension is wrong; the content counts
    assert (read_picture(path).pixels == gradient()).all()
    assert (read_picture(str(path)).pixels == gradient()).all()


HOSTILE = {
    "empty": b"",
    "text": b"hello",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'/>",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
    "html": b"<!doctype html><img src=x onerror=alert(1)>",
    "one pixel": encode(Image.new("RGB", (1, 1)), "PNG"),
    "strip": encode(Image.new("RGB", (16, 400)), "PNG"),
    "30000 x 30000": png_header(30_000, 30_000),
    "9000 x 9000": png_header(9_000, 9_000),
    "2^31 - 1 wide": png_header(2**31 - 1, 20),
    "zero wide": png_header(0, 20),
    "short pixels": png_header(64, 64),
    "too many bytes": b"\x89PNG" + bytes(MAX_IMAGE_BYTES),
    "missing file": "/no/such/file.png",
    "a folder": "/",
    "null in name": "a\0b",
    "number": 7,
    "none": None,
    "3-D stack": np.zeros((2, 32, 32, 3), np.uint8),
    "two channels": np.zeros((32, 32, 2), np.uint8),
    "int64": np.zeros((32, 32, 3), np.int64),
    "bool": np.zeros((32, 32), bool),
    "nan": np.full((32, 32), np.nan),
    "floats above one": np.full((32, 32), 255.0),
    "nothing": np.zeros((0, 0, 3), np.uint8),
    "small pillow": Image.new("RGB", (4, 4)),
    "32-bit grey": Image.new("I", (32, 32), 70_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_refused_in_one_sentence(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(ImageError) as caught:
            read_picture(HOSTILE[name])
    assert "\n" not in str(caught.value) and 10 < len(str(caught.value)) < 160


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF", "JPEG2000", "BMP", "PPM", "GIF"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_truncated_files_are_refused(kind, share):
    image = Image.effect_noise((96, 96), 80).convert("RGB" if kind != "GIF" else "P")
    data = encode(image, kind)
    with pytest.raises(ImageError):
        read_picture(data[: int(len(data) * share)])


@settings(max_examples=150, deadline=None)
@given(kind=st.sampled_from(sorted(FILES)), data=st.data())
def test_damaged_files_give_a_picture_or_an_image_error(kind, data):
    damaged = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = read_picture(bytes(damaged)).pixels
    except ImageError:
        return
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3


@settings(max_examples=200, deadline=None)
@given(st.integers(16, 5000), st.integers(16, 5000), st.integers(2, 32), st.integers(2, 32))
def test_the_crop_lies_inside_and_is_centred(picture_height, picture_width, rows, columns):
    height, width = rows * 32, columns * 32
    crop = crop_box(picture_height, picture_width, height, width)
    assert 0 <= crop.x0 and crop.x0 + crop.width <= picture_width
    assert 0 <= crop.y0 and crop.y0 + crop.height <= picture_height
    assert abs(crop.x0 - (picture_width - crop.width) / 2) <= 0.5
    assert picture_width - crop.width <= 1 or picture_height - crop.height <= 1


def test_a_picture_of_the_right_size_is_left_alone():
    pixels = gradient(64, 96)
    prepared, crop = prepare_picture(pixels, 64, 96)
    assert (prepared == pixels).all() and crop == crop_box(64, 96, 64, 96)
    assert (crop.x0, crop.y0, crop.width, crop.height, crop.scale) == (0, 0, 96, 64, 1.0)


def many_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated, 30 bytes each."""
    buffer = io.BytesIO()
    Image.new("L", (side, side), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    return data[:-2] + data[data.rindex(b"\xff\xda") : -2] * scans + data[-2:]


def test_a_jpeg_with_too_many_scans_is_refused_before_decoding():
    assert read_picture(many_scans(64, 900)).pixels.shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"at most 1000 scans .* got 20006 scans of 64x64"):
        read_picture(many_scans(64, 20_000))
    with pytest.raises(ImageError, match=r"2000000000 pixels in all of them, got 906 scans of 2000x2000"):
        read_picture(many_scans(2000, 900))


def test_scan_markers_in_other_formats_are_ignored():
    noise = np.frombuffer(b"\xff\xda" * 24 * 40 * 3, np.uint8)[: 24 * 40 * 3].reshape(24, 40, 3)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "BMP")
    assert buffer.getvalue().count(b"\xff\xda") > 1000
    assert read_picture(buffer.getvalue()).pixels.tolist() == noise.tolist()


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "L"])
def test_large_pictures_give_the_same_result_in_bands(mode, monkeypatch):
    picture = Image.effect_mandelbrot((70, 50), (-2, -1, 1, 1), 30).convert("RGB")
    if mode == "RGBA":
        picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture = picture.convert(mode)
    whole = read_picture(picture).pixels
    monkeypatch.setattr("flashworld.io.images.pixels.BAND_PIXELS", 300)
    assert np.array_equal(read_picture(picture).pixels, whole)


def test_picture_names_cannot_inject_terminal_codes(tmp_path):
    with pytest.raises(ImageError, match=r"^picture 'a\?b\?\.png' is not a file on this machine$"):
        read_picture(tmp_path / "a\nb\u202e.png")
