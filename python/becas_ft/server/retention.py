"""Erases what became too old, hour by hour: examples past their category's age, corrections that nobody waits for."""

import asyncio
from typing import Final

import structlog

from becas_ft.errors import CoreError
from becas_ft.server.application import Application

_INTERVAL: Final = 3600.0

_log = structlog.get_logger("becas_ft.server")


async def expire(application: Application) -> None:
    """Runs until it is cancelled; at once for what became too old while the server was down."""
    while True:
        try:
            if erased := await application.write(application.core.expire):
                _log.info("expired", examples=erased)
        except CoreError as error:
            # A full disk may have room in an hour.
            _log.warning("expire_failed", error=type(error).__name__)
        await asyncio.sleep(_INTERVAL)
