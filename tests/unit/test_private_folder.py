from __future__ import annotations

import os
import signal
import subprocess
import sys

from flashworld.serving.private_folder import LOCK_NAME, YOUNG_SECONDS, make_private_folder, remove_abandoned

HOLD = "import sys; from flashworld.serving.private_folder import make_private_folder as m; print(m(sys.argv[1]), flush=True); input()"


def test_only_its_owner_can_read_it(tmp_path):
    folder = make_private_folder(tmp_path)
    assert folder.stat().st_mode & 0o077 == 0


def test_folder_of_a_killed_process_is_removed_and_those_of_live_ones_are_kept(tmp_path):
    """Also from a fresh process, as in practice."""
    killed, living = (
        subprocess.Popen(
            [sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        for _ in range(2)
    )
    folders = [process.stdout.readline().strip() for process in (killed, living)]
    for folder in folders:
        os.utime(folder, (0, 0))
    killed.kill()
    killed.wait()
    assert [str(folder) for folder in remove_abandoned(tmp_path)] == [folders[0]]
    assert [str(path) for path in tmp_path.iterdir()] == [folders[1]]
    living.communicate("\n")


def test_worker_that_outlives_its_killed_app_does_not_keep_the_folder(tmp_path):
    forking = HOLD.replace(
        "input()",
        "import os, time; pid = os.fork(); os.write(1, b'%d\\n' % pid); input() if pid else time.sleep(60)",
    )  # one write a process: two prints into one pipe may be mixed
    app = subprocess.Popen(
        [sys.executable, "-c", forking, tmp_path], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    folder = app.stdout.readline().strip()
    worker = max(int(app.stdout.readline()) for _ in range(2))  # both are running: the setup after the fork is complete
    os.utime(folder, (0, 0))
    assert remove_abandoned(tmp_path) == []
    app.kill()
    app.wait()
    try:
        assert [str(path) for path in remove_abandoned(tmp_path)] == [folder]
    finally:
        os.kill(worker, signal.SIGKILL)


def test_folder_that_is_not_locked_yet_is_left_alone(tmp_path):
    folder = tmp_path / "flashworld-app-new"
    folder.mkdir()
    assert remove_abandoned(tmp_path) == []
    assert remove_abandoned(tmp_path, now=folder.stat().st_mtime + YOUNG_SECONDS + 1) == [folder]


def test_nothing_else_is_touched_and_no_link_is_followed(tmp_path):
    other = tmp_path / "somebody"
    other.mkdir()
    (other / LOCK_NAME).touch()
    (tmp_path / "flashworld-app-link").symlink_to(other)
    remove_abandoned(tmp_path, now=1e12)
    assert (other / LOCK_NAME).exists()
