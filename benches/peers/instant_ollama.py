"""A fake: speaks as much of Ollama's API as a shadow test needs, and answers at once, always the same.

What is measured over it is the cost of everything but a model; a real one takes hundreds of times as long and would
hide it. `python -m peers.instant_ollama` prints `listening on ADDRESS,` and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal

ANSWER = '{"isScam":true,"scamType":"prize","severity":"high","reasoning":"a prize"}'
_LIMIT = 1 << 20
_SHOWN = {"modelfile": "FROM /nowhere/sha256-" + "0" * 64, "template": "", "parameters": "", "model_info": {}}


def reply(path: str, request: dict[str, object]) -> dict[str, object]:
    """The answer to a request."""
    if path == "/api/version":
        return {"version": "0.17.4"}
    if path == "/api/show":
        return _SHOWN
    if path == "/api/chat":
        logprobs = [{"token": piece, "logprob": -0.1} for piece in (ANSWER[:10], ANSWER[10:14], ANSWER[14:])]
        message = {"role": "assistant", "content": ANSWER}
        return {
            "model": request["model"],
            "message": message,
            "done": True,
            "done_reason": "stop",
            "logprobs": logprobs,
        }
    return {}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, kept open."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *fields = head.decode().split("\r\n")
            lengths = [field.split(":")[1] for field in fields if field.lower().startswith("content-length:")]
            body = await reader.readexactly(int(lengths[0]) if lengths else 0)
            said = json.dumps(reply(line.split(" ")[1], json.loads(body or b"{}"))).encode()
            start = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
            writer.write(f"{start}{len(said)}\r\n\r\n".encode() + said)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve until a signal."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=_LIMIT)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]},", flush=True)
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())
