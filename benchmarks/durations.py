"""A thousand simulated calls: the ratio of requested to used seconds, and the number of calls cut short.

    python -m benchmarks.durations [--calls 1000] [--seeds 5] [--json]

Two platforms: half an RTX Pro 6000 with ZeroGPU's factor of 1.5, slower than the prior by a different factor in every
stage, and an H200 without a factor. Calls vary by 8 %, some are stragglers that take 50 % longer, and some find
no idle worker. The same simulation is a test.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from dataclasses import dataclass, replace

from flashworld.serving.costs import H200_COSTS, StageCosts, Work
from flashworld.serving.durations import DurationModel

DEFAULT = Work(24, 480, 704, video_frames=97)
MIX = (
    (DEFAULT, 8),
    (replace(DEFAULT, height=704, width=480), 3),
    (replace(DEFAULT, video_frames=0), 4),
    (replace(DEFAULT, video_frames=346), 1),
    (Work(16, 480, 640, video_frames=61), 2),
    (Work(32, 480, 704, video_frames=125), 1),
)
"""Typical requests, and their frequency."""
SCATTER = 0.08
STRAGGLER = 1.5
LEARNING_CALLS = 10
"""Calls after which the estimates should have converged."""


@dataclass(frozen=True)
class Platform:
    """A GPU as the platform provides it.

    Attributes:
        costs: Actual costs of the stages there.
        factor: The platform's factor on requests.
        stragglers: Share of calls that take 1.5 times as long.
        colds: Share of calls that find no idle worker.
    """

    costs: StageCosts
    factor: float
    stragglers: float
    colds: float = 0.04


HALF_RTX_PRO_6000 = Platform(
    StageCosts(
        fixed=0.3, text=0.06, per_token=2.4 * H200_COSTS.per_token, per_token_pair=2.0 * H200_COSTS.per_token_pair,
        per_decoded_pixel=2.3 * H200_COSTS.per_decoded_pixel, per_encoded_pixel=2.5 * H200_COSTS.per_encoded_pixel,
        per_gaussian_view=1.8 * H200_COSTS.per_gaussian_view, per_video_pixel=8e-9, per_result_byte=1 / 0.9e9,
        per_cold_byte=1 / 1.8e9, cold_fixed=3.0,
    ),
    factor=1.5, stragglers=0.01,
)  # fmt: skip
H200 = Platform(replace(H200_COSTS, fixed=0.1), factor=1.0, stragglers=0.0)
PLATFORMS = {"half an RTX Pro 6000": HALF_RTX_PRO_6000, "H200": H200}


def simulate(platform: Platform, model: DurationModel, calls: int, seed: int) -> tuple[int, list[tuple[int, float]]]:
    """Number of calls that the platform cut short, and requested and used seconds of the others, in order."""
    dice = random.Random(seed)
    works, weights = zip(*MIX, strict=True)
    aborted, ended = 0, []
    for number in range(calls):
        cold = number == 0 or dice.random() < platform.colds
        work = replace(dice.choices(works, weights)[0], cold=cold)
        used = platform.costs.total(work) * math.exp(dice.gauss(0, SCATTER))
        used *= STRAGGLER if dice.random() < platform.stragglers else 1.0
        asked = model.estimate(work)
        if used > asked.granted_s:
            aborted += 1
            model.record_aborted(work)
            continue
        ended.append((asked.request_s, used))
        model.record(work, used)
    return aborted, ended


def main(argv: list[str] | None = None) -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    rows = []
    for name, platform in PLATFORMS.items():
        for seed in range(args.seeds):
            model = DurationModel(name, factor=platform.factor)
            aborted, ended = simulate(platform, model, args.calls, seed)
            late = ended[LEARNING_CALLS:]
            rows.append(
                {
                    "platform": name,
                    "seed": seed,
                    "calls": args.calls,
                    "aborted": aborted,
                    "asked_over_used": statistics.median(asked / used for asked, used in late),
                    "asked_over_used_in_all": sum(asked for asked, _ in late) / sum(used for _, used in late),
                    "seconds_in_excess": statistics.median(asked - used for asked, used in late),
                }
            )
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    for row in rows:
        print(
            f"{row['platform']:22} seed {row['seed']}: {row['aborted']} of {row['calls']} cut short, requested / used "
            f"{row['asked_over_used']:.2f} (median), {row['asked_over_used_in_all']:.2f} (sums), "
            f"{row['seconds_in_excess']:.2f} s in excess"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
