"""Channels to the server."""

from importlib.resources import files

import grpc

from becas_ft_client.settings import Access, Settings

# A peer that is gone without a word is noticed within 40 s; the server allows a ping every 10 s.
_KEEPALIVE_MS = 30_000
_KEEPALIVE_TIMEOUT_MS = 10_000


def open_channel(server: str, access: Access, settings: Settings) -> grpc.aio.Channel:
    """A channel; without access the server has to be on this machine."""
    options: list[tuple[str, str | int]] = [
        ("grpc.service_config", files("becas_ft_client").joinpath("service_config.json").read_text(encoding="utf-8")),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.initial_reconnect_backoff_ms", int(settings.first_backoff_seconds * 1000)),
        ("grpc.min_reconnect_backoff_ms", int(settings.first_backoff_seconds * 1000)),
        ("grpc.max_reconnect_backoff_ms", int(settings.longest_backoff_seconds * 1000)),
    ]
    if access == Access():
        return grpc.aio.insecure_channel(server, options)
    credentials = grpc.ssl_channel_credentials(None if access.ca_file is None else access.ca_file.read_bytes())
    if access.token:
        bearer = grpc.access_token_call_credentials(access.token)
        credentials = grpc.composite_channel_credentials(credentials, bearer)
    return grpc.aio.secure_channel(server, credentials, options)
