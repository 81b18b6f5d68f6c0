"""Publishes a bot's decisions to becas-ft; every event gets a receipt, whatever happens to the server."""

from becas_ft_client.client import Client
from becas_ft_client.event_id import event_id
from becas_ft_client.settings import Access, ClosedError, DeliveryError, Settings

__all__ = ["Access", "Client", "ClosedError", "DeliveryError", "Settings", "event_id"]
