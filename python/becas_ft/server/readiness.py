"""Readiness: whether the server can take what load balancers would send it."""

import asyncio
import shutil
from typing import Final

import structlog

from becas_ft.server.application import Application

_LOOK_SECONDS: Final = 2.0

_log = structlog.get_logger("becas_ft.server")


async def watch_disk(application: Application) -> None:
    """NOT_SERVING while less than `server.min_free_disk` is left where the data lies.

    Calls are answered all the same: what is sent before the balancers have heard is still kept.
    """
    least = int(application.config.server.min_free_disk)
    low = False
    while True:
        free = (await asyncio.to_thread(shutil.disk_usage, application.config.store.data_dir)).free
        if (free < least) != low:
            low = free < least
            _log.log(30 if low else 20, "disk_low" if low else "disk_recovered", free_bytes=free, least_bytes=least)
            await application.ready("disk", ready=not low)
        await asyncio.sleep(_LOOK_SECONDS)
