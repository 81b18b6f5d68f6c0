"""A bot that asks becas-ft about messages, and hears later what a moderator says.

`ask.py LIVE.jsonl [--untold N]` asks about each message of a file that `becas-ft demo --write` made, and states the
truth of all but the last N, whose labels are left to you. Then it waits for the candidate, which is asked only while
nobody waits for the model in production. Prints how many requests each model answered.
"""

import argparse
import asyncio
import collections
import json
import os
import sys
from pathlib import Path

from becas_ft_client import Client
from becas_ft_client.v1 import (
    Category,
    GetShadowStatsRequest,
    RecordTruthRequest,
    ShadowServiceStub,
    ShadowTestRequest,
)

# A model that is asked for the first time is loaded first.
CALL_SECONDS = 120.0
SECONDS_BETWEEN_LOOKS = 5.0


async def compared(stub: ShadowServiceStub) -> int:
    """How many sampled requests the candidate is done with, those included that it had no time for."""
    stats = await stub.GetShadowStats(GetShadowStatsRequest(), timeout=CALL_SECONDS)
    return sum(stats.pairs_by_model.values()) + stats.overflow


async def ask(messages: list[dict[str, object]], untold: int) -> None:
    """Ask about each message, tell the truth about them, and wait until the candidate was asked as well."""
    models: collections.Counter[str] = collections.Counter()
    sampled = 0
    async with Client(os.environ.get("BECAS_FT_SERVER", "127.0.0.1:50051")) as client:
        stub = ShadowServiceStub(client.channel)
        before = await compared(stub)
        for message in messages:
            request = ShadowTestRequest(
                category=Category.CATEGORY_SCAM_DETECTION,
                request_id=str(message["request_id"]),
                input=str(message["text"]),
                context=str(message["context"]),
                user_id=str(message["user_id"]),
                guild_id=str(message["guild_id"]),
            )
            answer = await stub.ShadowTest(request, timeout=CALL_SECONDS)
            models[answer.model] += 1
            sampled += answer.sampled
        for message in messages[: len(messages) - untold]:
            truth = "true" if message["is_scam"] else "false"
            told = RecordTruthRequest(request_id=str(message["request_id"]), truth=truth)
            await stub.RecordTruth(told, timeout=CALL_SECONDS)
        while (done := await compared(stub) - before) < sampled:
            print(f"the candidate was asked about {done} of {sampled}", end="\r", file=sys.stderr)
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
    print(json.dumps(models))


def main() -> None:
    """Parse the arguments, and ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("live", type=Path, metavar="LIVE.jsonl")
    parser.add_argument("--untold", type=int, default=0, help="so many messages whose truth is left to you")
    options = parser.parse_args()
    messages = [json.loads(line) for line in options.live.read_text(encoding="utf-8").splitlines()]
    asyncio.run(ask(messages, options.untold))


if __name__ == "__main__":
    main()
