"""The whole ZeroGPU path, exercised by visits: only opening the GPU and moving weights to it are replaced."""

from __future__ import annotations

import base64
import json
import os
import time
from itertools import pairwise

from tests.zerogpu.device_api import alive
from tests.zerogpu.harness import wait_for


def test_startup_reports_once_and_packs_the_weights_once(running_app):
    assert [call["path"] for call in running_app.calls_at_start] == ["/startup-report"]
    assert 64 * 65 * 4 <= running_app.packed_bytes() < 64 * 65 * 4 + 2 * 4096  # padded to pages


def test_call_is_scheduled_allowed_run_and_released(app, stages):
    visit = app.visit("/generate", "ok", 3)
    assert visit.error is None
    *steps, done = stages(visit)
    assert [s["stage"] for s in steps] == ["step 1", "step 2", "step 3"]
    assert [s["value"] for s in steps] == [2.0, 4.0, 8.0]  # the packed weights arrived
    assert done["steps"] == 3
    assert not any(s["emulated"] for s in steps)
    assert steps[0]["visible"] == "0"
    (worker,) = {s["pid"] for s in steps}
    assert worker != done["main"]
    assert [c["path"] for c in app.api.calls] == ["/schedule", "/allow", "/release"]
    (schedule,), (allow,), (release,) = (app.api.seen(p) for p in ("/schedule", "/allow", "/release"))
    assert schedule["durationSeconds"] == "5"  # from the duration callable, which saw the arguments
    assert allow["pid"] == str(worker)
    assert release["fail"] == "false"
    assert release["allowToken"] == allow["allowToken"]


def test_result_in_shared_memory_arrives_from_a_new_and_from_an_idle_worker(app, stages):
    for _ in range(2):
        *_, result, _done = stages(app.visit("/generate", "result", 2))
        assert result == {"gaussians": 300_000, "first": 4.0, "last": 4.0 + 3 * 300_000 - 1}


def test_second_call_reuses_the_idle_worker(app, stages):
    cold, warm = app.visit("/generate", "ok", 2), app.visit("/generate", "ok", 2)
    first, second = stages(cold), stages(warm)
    assert first[0]["pid"] == second[0]["pid"]
    assert [first[0]["calls"], second[0]["calls"]] == [1, 2]
    assert [first[-1]["expected_cold"], second[-1]["expected_cold"]] == [True, False]
    assert len(app.api.seen("/allow")) == 1


def test_idle_worker_that_was_reclaimed_is_replaced(app, stages):
    before = stages(app.visit("/generate", "ok", 1))[0]["pid"]
    os.kill(before, 9)
    assert wait_for(lambda: not alive(before))
    visit = app.visit("/generate", "ok", 1)
    assert visit.error is None
    assert stages(visit)[0]["pid"] != before
    assert stages(visit)[-1]["expected_cold"]


def test_steps_arrive_while_the_gpu_works(app):
    arrivals = []
    app.visit(
        "/generate", "slow", 3, until=lambda visit: arrivals.append((len(visit.outputs), time.monotonic())) or False
    )
    first = {count: t for count, t in reversed(arrivals)}
    assert all(first[b] - first[a] > 0.2 for a, b in pairwise([1, 2, 3]))


def test_refused_request_costs_no_gpu_time(app):
    visit = app.visit("/generate", "bad request", 3)
    assert visit.error == "The request is wrong."
    assert app.api.calls == []


def test_gradio_errors_keep_their_text_and_others_only_their_class(app):
    told = app.visit("/generate", "message", 1)
    assert (told.error, told.title) == ("Lower the number of views.", "Too large")
    hidden = app.visit("/generate", "secret", 1)
    assert hidden.error == "ValueError"
    assert [c["fail"] for c in app.api.seen("/release")] == ["true", "true"]


def test_worker_whose_call_raised_is_not_used_again(app, stages):
    """An error raised inside a GPU call costs the next visitor a cold start: better to yield it and end normally."""
    app.visit("/generate", "ok", 1)
    app.visit("/generate", "secret", 1)
    last = stages(app.visit("/generate", "ok", 1))
    assert last[0]["calls"] == 1
    assert last[-1]["expected_cold"]


def test_result_that_cannot_be_pickled_is_an_error_and_the_next_call_works(app):
    assert app.visit("/generate", "unpicklable", 1).error == "PicklingError"
    assert app.visit("/generate", "ok", 1).error is None


def test_overrunning_call_is_killed_and_the_next_one_works(app, stages):
    first = stages(app.visit("/generate", "ok", 1))[0]["pid"]
    visit = app.visit("/generate", "overrun", 1)
    assert visit.error == "GPU task aborted"
    assert any("exceeding its requested duration" in line for line in visit.log)
    assert visit.seconds < 10
    (kill,) = app.api.seen("kill")
    assert kill["pid"] == first
    assert stages(app.visit("/generate", "ok", 1))[0]["pid"] != first


def test_crashed_worker_is_an_error_and_the_next_call_works(app, stages):
    visit = app.visit("/generate", "crash", 3)
    assert visit.error == "GPU task aborted"
    assert [s["stage"] for s in stages(visit)] == ["step 1"]  # earlier output is kept
    assert app.visit("/generate", "ok", 1).error is None


def test_queued_visitor_is_informed(app):
    app.api.rules.hold = True

    def release_gpu(visit) -> bool:
        if any("Waiting for a GPU" in line for line in visit.log):
            app.api.rules.hold = False
        return False

    visit = app.visit("/generate", "ok", 1, until=release_gpu)
    assert visit.error is None
    assert any("Waiting for a GPU" in line for line in visit.log)
    assert any("acquired" in line for line in visit.log)


def test_visitor_who_leaves_the_queue_gets_no_gpu(app):
    app.api.rules.hold = True
    app.visit("/generate", "ok", 1, until=lambda visit: any("Waiting" in line for line in visit.log))
    assert wait_for(lambda: app.api.seen("left the queue"))
    app.api.rules.hold = False
    time.sleep(0.5)
    assert app.api.seen("/allow") == []
    assert app.visit("/generate", "ok", 1).error is None


def test_disconnecting_stops_the_work_at_the_next_step(app):
    left = app.home / "closed"
    left.unlink(missing_ok=True)
    start = time.monotonic()
    app.visit("/generate", "slower", 20, until=lambda visit: len(visit.outputs) >= 1)
    assert wait_for(left.exists)  # the generator was closed, its `finally` ran
    assert wait_for(lambda: app.api.seen("/release"))
    assert time.monotonic() - start < 10  # not the 20 s of 20 steps
    assert app.api.seen("/release")[0]["fail"] == "false"
    warm = app.visit("/generate", "ok", 1)
    assert json.loads(warm.outputs[0])["calls"] == 2  # the worker stays alive when a visitor disconnects


def test_two_visitors_share_one_gpu_one_after_the_other(app, stages):
    visits = app.visits(("/generate", "slow", 2), ("/generate", "slow", 2))
    assert [visit.error for visit in visits] == [None, None]
    assert len({stages(visit)[0]["pid"] for visit in visits}) == 1
    assert sorted(stages(visit)[0]["calls"] for visit in visits) == [1, 2]
    assert sum(any("Waiting" in line for line in visit.log) for visit in visits) == 1
    assert sorted(stages(visit)[-1]["expected_cold"] for visit in visits) == [True, True]  # warm only by luck


def test_two_visitors_use_two_gpus_at_the_same_time(app, stages):
    app.api.use(2)
    visits = app.visits(("/generate", "slow", 3), ("/generate", "slow", 3))
    assert [visit.error for visit in visits] == [None, None]
    assert len({stages(visit)[0]["pid"] for visit in visits}) == 2
    assert {stages(visit)[0]["visible"] for visit in visits} == {"0", "1"}
    assert [stages(visit)[2]["value"] for visit in visits] == [8.0, 8.0]


def test_used_up_quota_is_explained(app):
    app.api.rules.left_s = 3
    visit = app.visit("/generate", "ok", 9)
    assert "GPU limit" in visit.error
    assert visit.title == "ZeroGPU quota exceeded"
    assert app.visit("/generate", "ok", 1).error is None  # 3 s are left


def test_visitor_with_a_token_is_told_the_quota_left_and_the_token_reaches_the_platform(app):
    app.api.rules.left_s = 3
    payload = base64.urlsafe_b64encode(json.dumps({"user": "someone"}).encode()).decode().rstrip("=")
    token = f"header.{payload}.signature"
    visit = app.visit("/generate", "ok", 9, headers={"X-IP-Token": token})
    assert "11s requested vs. 3s left" in visit.error
    assert app.api.seen("/schedule")[0]["token"] == token


def test_asking_for_longer_than_allowed_is_explained(app):
    app.api.rules.cap_s = 10
    visit = app.visit("/generate", "ok", 20)
    assert visit.title == "ZeroGPU illegal duration"
    assert "22s" in visit.error


def test_platform_without_gpus_is_explained(app):
    app.api.rules.refuse = "busy"
    assert app.visit("/generate", "ok", 1).error == "No GPU was available"
    app.api.rules.refuse = "no gpu"
    assert "No GPU was available" in app.visit("/generate", "ok", 1).error
    app.api.rules.refuse = ""
    assert app.visit("/generate", "ok", 1).error is None
