"""`python -m becas_ft_client.bench`: publishes invented events as fast as their receipts come, and says how fast.

Reads BECAS_FT_SERVER, BECAS_FT_CA and BECAS_FT_TOKEN_FILE as the command `becas-ft` does. Prints one JSON object:
`{"events", "seconds", "events_per_second", "statuses"}`; with --trace also a line for each event that was accepted,
and one for what became of it.
"""

import argparse
import asyncio
import collections
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from becas_ft_client import Access, Client, ClosedError, DeliveryError, Settings
from becas_ft_client.v1 import (
    Event,
    Evidence,
    IngestRequest,
    IngestServiceStub,
    Receipt,
    ScamAnalysis,
    ScamDetected,
    Status,
)

_REASONING = "The wording asks for a payment and promises a prize that nobody announced in the guild."
_CALL_SECONDS = 30.0


def invented(prefix: str, number: int, confidence: float) -> Event:
    """A gold event whose text no other number has."""
    letters = "".join(chr(ord("a") + int(digit)) for digit in str(number))
    return Event(
        event_id=f"{prefix}-{number}",
        user_id=str(700_000_000_000_000_000 + number % 5000),
        guild_id=str(800_000_000_000_000_000 + number % 50),
        evidence=Evidence(human_validated=True, rag_enhanced=True),
        scam_detected=ScamDetected(
            text=f"Moonbeam Bank: vault {prefix} {letters} closes, send the seed words to moonbeam-vault.example",
            analysis=ScamAnalysis(
                is_scam=True, scam_type="prize", severity="high", confidence=confidence, reasoning=_REASONING
            ),
        ),
    )


def say(**line: object) -> None:
    """A line of JSON."""
    print(json.dumps(line), flush=True)  # noqa: T201 - it is a command


async def publish(client: Client, options: argparse.Namespace, events: list[Event]) -> list[asyncio.Future[Receipt]]:
    """Publish everything in batches over a stream."""
    pending: list[asyncio.Future[Receipt]] = []
    for event in events:
        receipt = await client.publish(event)
        pending.append(receipt)
        if options.trace:
            say(accepted=event.event_id)
            receipt.add_done_callback(tell)
        if options.pace:
            await asyncio.sleep(options.pace)
    if options.close_seconds is None:
        await client.flush()
    return pending


def tell(done: asyncio.Future[Receipt]) -> None:
    """What became of an event, if anything did."""
    if not done.cancelled() and done.exception() is None:
        receipt = done.result()
        name = Status.Name(receipt.status).removeprefix("STATUS_")
        say(receipt=receipt.event_id, status=name, reasons=list(receipt.reasons))


async def call(client: Client, events: list[Event]) -> list[Receipt]:
    """One Ingest an event, over the same channel."""
    stub = IngestServiceStub(client.channel)
    answers = [await stub.Ingest(IngestRequest(events=[event]), timeout=_CALL_SECONDS) for event in events]
    return [answer.receipts[0] for answer in answers]


async def run(options: argparse.Namespace) -> None:
    """Publish, and print what it took."""
    settings = Settings()
    if options.buffer_bytes is not None:
        settings = replace(settings, buffer_bytes=options.buffer_bytes)
    if options.close_seconds is not None:
        settings = replace(settings, close_seconds=options.close_seconds)
    events = [invented(options.prefix, number, options.confidence) for number in range(options.events)]
    start = time.perf_counter()
    async with Client(options.server, access=access(), settings=settings) as client:
        if options.calls:
            receipts = await call(client, events)
        else:
            pending = await publish(client, options, events)
    seconds = time.perf_counter() - start
    if not options.calls:
        receipts = [receipt.result() for receipt in pending]
    statuses = collections.Counter(Status.Name(receipt.status).removeprefix("STATUS_") for receipt in receipts)
    say(events=len(receipts), seconds=seconds, events_per_second=len(receipts) / seconds, statuses=statuses)


def access() -> Access:
    """Authority and token, as the command's variables name them."""
    ca, token = os.environ.get("BECAS_FT_CA"), os.environ.get("BECAS_FT_TOKEN_FILE")
    return Access(Path(ca) if ca else None, Path(token).read_text(encoding="utf-8").strip() if token else "")


def main() -> int:
    """Parse the arguments, run, and end with 1 where a receipt is missing."""
    parser = argparse.ArgumentParser(prog="becas_ft_client.bench", description="Publishes invented events.")
    parser.add_argument("--server", default=os.environ.get("BECAS_FT_SERVER", "127.0.0.1:50051"))
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--prefix", default="bench", help="of their ids and texts; the same again: duplicates")
    parser.add_argument("--confidence", type=float, default=0.9, help="of their decisions; over 1: INVALID")
    parser.add_argument("--pace", type=float, default=0.0, help="seconds between two events")
    parser.add_argument("--calls", action="store_true", help="one call an event, not a stream")
    parser.add_argument("--trace", action="store_true", help="a line for each event and each receipt")
    parser.add_argument("--buffer-bytes", type=int)
    parser.add_argument("--close-seconds", type=float, help="do not flush, and close within so many seconds")
    try:
        asyncio.run(run(parser.parse_args()))
    except (ClosedError, DeliveryError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - it is a command
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
