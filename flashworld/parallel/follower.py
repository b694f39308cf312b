"""A process that follows the leader: python -m flashworld.parallel.follower FD OPTIONS, started by `launch`."""

from __future__ import annotations

import json
import logging
import sys
import threading

from flashworld.device import choose_device
from flashworld.errors import FlashWorldError
from flashworld.parallel.group import GpuGroup
from flashworld.parallel.launch import LOADED
from flashworld.parallel.pipeline import SplitPipeline
from flashworld.serving.channel import GONE, Channel
from flashworld.serving.options import ModelOptions
from flashworld.serving.pool_worker import end_with_the_app


def main() -> None:
    """Load the model, join the group, and follow the leader."""
    leader, told = Channel(int(sys.argv[1])), json.loads(sys.argv[2])
    logging.basicConfig(level=logging.WARNING, format=f"%(levelname)s part {told['rank']}: %(name)s: %(message)s")
    threading.Thread(target=end_with_the_app, daemon=True).start()
    options = ModelOptions(**told["options"] | {"offload": (), "gpus_per_scene": 1})
    try:
        whole = options.load()
    except FlashWorldError as error:
        leader.send(str(error))
        return
    leader.send(LOADED)
    try:
        leader.receive()  # JOIN, once every process has loaded the model
    except GONE:
        return
    group = GpuGroup.join(told["rank"], told["size"], told["store"], choose_device(options.device, options.source))
    SplitPipeline(whole.networks, group, name=whole.name).follow(leader)
    group.leave()


if __name__ == "__main__":
    main()
