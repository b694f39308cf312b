"""The process of one card of `python app.py --gpus`: the model with its compiled graphs, and a channel to the app.

    python -m aot.card_worker FD OPTIONS

Started by the app alone: FD is an inherited socket, OPTIONS a JSON object. Ends when its standard input does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict

from flashworld.serving.card_worker import CardReady, LoadedCard, work
from flashworld.serving.cards import Card
from flashworld.serving.channel import Channel
from flashworld.serving.options import ModelOptions


def worker_command(fd: int, card: Card, options: ModelOptions) -> list[str]:
    """The command that starts a worker."""
    told = asdict(options) | {"device": card.device}
    what = {"options": told, "card": asdict(card)}
    return [sys.executable, "-m", "aot.card_worker", str(fd), json.dumps(what, default=str)]


def load(options: ModelOptions) -> LoadedCard:
    """Load and compile as the app does it for a single GPU."""
    import spaces

    from aot.served_model import Model

    model = Model(options, spaces.GPU, text_int8=False)
    return LoadedCard(model.pipeline, CardReady(model.device_name, model.note, model.compiled))


def main() -> None:
    """Serve with the card that the arguments name."""
    fd, told = int(sys.argv[1]), json.loads(sys.argv[2])
    card = told["card"]
    logging.basicConfig(
        level=logging.INFO, format=f"%(asctime)s %(levelname)s {card['name']}: %(name)s: %(message)s", stream=sys.stderr
    )
    if card["cores"]:
        os.sched_setaffinity(0, card["cores"])
    options = ModelOptions(**told["options"] | {"offload": tuple(told["options"]["offload"])})
    work(Channel(fd), lambda: load(options))


if __name__ == "__main__":
    main()
