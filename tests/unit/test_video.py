"""Videos and animations, checked with the encoder's own decoder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image

from flashworld import limits
from flashworld.errors import DependencyError, VideoError, WriteError
from flashworld.io.video import write_animation, write_video


def picture(height: int, width: int, number: int = 0) -> np.ndarray:
    """Smooth colours that move with the frame number."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    waves = [np.sin(x / 9 + number / 5), np.cos(y / 7 - number / 4), np.sin((x + y) / 15)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def frames(count: int = 12, height: int = 48, width: int = 64):
    return (picture(height, width, number) for number in range(count))


def described(path: Path) -> str:
    return subprocess.run([get_ffmpeg_exe(), "-i", str(path)], capture_output=True, text=True, check=False).stderr


def decoded(path: Path, height: int, width: int) -> np.ndarray:
    flags = "accurate_rnd+full_chroma_int+full_chroma_inp"
    command = [get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-vf", f"scale=flags={flags}"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


def children() -> set[str]:
    """Processes whose parent is this one, zombies included."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended in the meantime
        if int(fields[1]) == os.getpid():
            found.add(stat.parent.name)
    return found


def test_video_plays_everywhere(tmp_path):
    write_video(frames(30), tmp_path / "a.mp4", fps=15)
    text = described(tmp_path / "a.mp4")
    assert re.search(r"Video: h264 .*yuv420p\(tv, bt709, progressive\), 64x48", text)
    assert re.search(r"Duration: 00:00:02.00.*", text)
    assert "15 fps" in text
    data = (tmp_path / "a.mp4").read_bytes()
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat")  # faststart
    pictures = decoded(tmp_path / "a.mp4", 48, 64)
    assert len(pictures) == 30
    for number in (0, 17, 29):
        assert psnr(pictures[number], picture(48, 64, number)) > 33  # half the chroma is discarded
    assert abs(pictures[0].astype(float) - picture(48, 64)).mean(axis=(0, 1)).max() < 5  # colours do not shift
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]


def test_odd_sizes_repeat_the_last_row_and_column(tmp_path):
    write_video(frames(3, 33, 51), tmp_path / "a.mp4", fps=24)
    pictures = decoded(tmp_path / "a.mp4", 34, 52)
    assert psnr(pictures[0, :33, :51], picture(33, 51)) > 30
    assert abs(pictures[0, 33].astype(int) - pictures[0, 32]).max() < 25
    assert abs(pictures[0, :, 51].astype(int) - pictures[0, :, 50]).max() < 25


def test_frame_of_one_pixel_and_views_are_encoded(tmp_path):
    write_video([np.zeros((1, 1, 3), np.uint8)], tmp_path / "a.mp4", fps=1)
    assert decoded(tmp_path / "a.mp4", 2, 2).shape == (1, 2, 2, 3)
    turned = picture(64, 48).transpose(1, 0, 2)[::-1]
    write_video([turned], tmp_path / "b.mp4", fps=1)
    assert psnr(decoded(tmp_path / "b.mp4", 48, 64)[0], turned) > 30


def test_higher_quality_is_larger_and_fractional_fps_are_kept(tmp_path):
    sizes = []
    for quality in ("low", "medium", "high"):
        write_video(frames(24, 96, 128), tmp_path / "a.mp4", fps=24000 / 1001, quality=quality)
        sizes.append((tmp_path / "a.mp4").stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[2]
    assert "23.98 fps" in described(tmp_path / "a.mp4")


class Interrupted(BaseException):
    pass


@pytest.mark.parametrize("exception", [RuntimeError, Interrupted, GeneratorExit])
def test_failing_frames_leave_no_file_and_no_process(exception, tmp_path):
    def failing():
        yield from frames(5)
        raise exception

    before = children()
    with pytest.raises(exception):
        write_video(failing(), tmp_path / "a.mp4", fps=10)
    assert children() <= before
    assert list(tmp_path.iterdir()) == []


def test_encoder_closed_with_its_caller_leaves_nothing(tmp_path):
    """A generator around the writer that is closed midway, as in a cancelled call of the app."""

    def call():
        def stream():
            yield from frames(3)
            raise GeneratorExit

        yield "started"
        write_video(stream(), tmp_path / "a.mp4", fps=10)

    before = children()
    running = call()
    next(running)
    with pytest.raises(GeneratorExit):
        next(running)
    assert children() <= before
    assert list(tmp_path.iterdir()) == []


def test_encoder_failure_carries_its_last_message(tmp_path, monkeypatch):
    script = tmp_path / "encoder"
    script.write_text(
        "#!/bin/sh\nhead -c 100 >/dev/null\necho first >&2\necho '[out#0/mp4 @ 0x563d393e8000] no space left for you' >&2\nexit 3\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))
    before = children()
    with pytest.raises(WriteError, match=r"a.mp4: the video encoder failed: no space left for you \(exit code 3\)"):
        write_video(frames(200, 96, 128), tmp_path / "a.mp4", fps=10)
    assert children() <= before
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_missing_encoder_is_a_dependency_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(DependencyError, match="pip install imageio-ffmpeg"):
        write_video(frames(), tmp_path / "a.mp4", fps=10)


BAD = {
    "none": ([], "at least one frame"),
    "floats": ([np.zeros((4, 4, 3))], "frame 0 must be uint8"),
    "grey": ([np.zeros((4, 4), np.uint8)], "frame 0 must be uint8"),
    "a list": ([[[0, 0, 0]]], "frame 0 must be uint8 .*got list"),
    "empty picture": ([np.zeros((0, 4, 3), np.uint8)], "size"),
    "another size": (
        [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)],
        r"frame 1 must be of size \(4, 4\)",
    ),
}


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webp"])
@pytest.mark.parametrize("case", BAD)
def test_bad_frames_are_refused(case, suffix, tmp_path):
    given, words = BAD[case]
    write = write_video if suffix == ".mp4" else write_animation
    with pytest.raises(VideoError, match=words):
        write(iter(given), tmp_path / f"a{suffix}", fps=10)
    assert list(tmp_path.iterdir()) == []


def test_bad_settings_are_refused(tmp_path):
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(VideoError, match="fps must be"):
            write_video(frames(), tmp_path / "a.mp4", fps=fps)
    with pytest.raises(VideoError, match="quality must be one of low, medium, high"):
        write_video(frames(), tmp_path / "a.mp4", fps=10, quality="best")
    with pytest.raises(WriteError, match=r"must end in .gif or .webp"):
        write_animation(frames(), tmp_path / "a.png", fps=10)
    with pytest.raises(WriteError, match=r"the video encoder failed: Error opening output file a\.mp4|No such file"):
        write_video(frames(), tmp_path / "none" / "a.mp4", fps=10)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_animation_loops_for_ever_and_keeps_its_duration(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    write_animation(frames(24), path, fps=24)
    with Image.open(path) as animation:
        assert (animation.n_frames, animation.size, animation.info["loop"]) == (24, (64, 48), 0)
        total = 0
        for number in range(24):
            animation.seek(number)
            shown = np.asarray(animation.convert("RGB"))
            assert psnr(shown, picture(48, 64, number)) > (
                24 if suffix == ".gif" else 27
            )  # every colour there is, in 256
            total += animation.info["duration"]
        assert abs(total - 1000) <= 10
    assert list(tmp_path.iterdir()) == [path]


def test_animation_has_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_ANIMATION_PIXELS", 5 * 48 * 64)
    with pytest.raises(VideoError, match="may hold 15360 pixels"):
        write_animation(frames(1000), tmp_path / "a.gif", fps=10)
    write_animation(frames(5), tmp_path / "a.gif", fps=10)
