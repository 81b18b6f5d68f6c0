"""A Discord bot that publishes what it decides; with --replay it plays recorded gateway events, without a network."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import discord
from moderation import Moderation, Said

from becas_ft_client import Access, Client
from becas_ft_client.v1 import Category, Event, ModerationActionExecuted, Receipt, Status, Tier

ACTIONS = {
    discord.AuditLogAction.ban: "ban",
    discord.AuditLogAction.unban: "unban",
    discord.AuditLogAction.kick: "kick",
}
DISMISS = "❌"


class Bot(discord.Client):
    """Turns what the gateway says into decisions, and publishes them."""

    def __init__(self, becas: Client) -> None:
        intents = discord.Intents(guilds=True, members=True, moderation=True, messages=True, reactions=True)
        intents.message_content = True
        super().__init__(intents=intents, chunk_guilds_at_startup=False)
        self._becas = becas
        self._moderation = Moderation()

    async def on_message(self, message: discord.Message) -> None:
        """Look at what members write."""
        if message.author.bot or message.guild is None:
            return
        said = Said(
            message_id=str(message.id),
            user_id=str(message.author.id),
            guild_id=str(message.guild.id),
            channel=getattr(message.channel, "name", ""),
            text=message.content,
            time=message.created_at,
            to_bot=self.user in message.mentions,
        )
        # Here you act on what was decided: delete, warn, answer.
        await self._publish(self._moderation.message(said))

    async def on_member_join(self, member: discord.Member) -> None:
        """Look for raids."""
        joined = member.joined_at or discord.utils.utcnow()
        await self._publish(self._moderation.joined(str(member.id), str(member.guild.id), joined, member.created_at))

    async def on_raw_reaction_add(self, reaction: discord.RawReactionActionEvent) -> None:
        """A moderator's ❌ on a message says that flagging it was wrong."""
        member = reaction.member
        if str(reaction.emoji) == DISMISS and member is not None and member.guild_permissions.moderate_members:
            await self._publish(self._moderation.dismissed(str(reaction.message_id), str(member.id)))

    async def on_audit_log_entry_create(self, entry: discord.AuditLogEntry) -> None:
        """What moderators do, by hand or with other bots."""
        action, seconds = ACTIONS.get(entry.action), None
        until = getattr(entry.after, "timed_out_until", None)
        if entry.action is discord.AuditLogAction.member_update and until is not None:
            action, seconds = "timeout", round((until - entry.created_at).total_seconds())
        if action is None or entry.target is None:
            return
        done = ModerationActionExecuted(
            action_type=action,
            target_user_id=str(entry.target.id),
            executor_id=str(entry.user_id),
            reason=entry.reason or "",
            duration=None if seconds is None else 1000 * seconds,
            guild_id=str(entry.guild.id),
        )
        await self._publish(self._moderation.acted(str(entry.id), done))

    async def on_interaction(self, interaction: discord.Interaction) -> None:
        """Commands. Here you also run and answer them."""
        data = interaction.data
        if interaction.type is not discord.InteractionType.application_command or data is None:
            return
        who = (str(interaction.id), str(interaction.user.id), str(interaction.guild_id))
        options = {option["name"]: option.get("value") for option in data.get("options", [])}
        if data["name"] == "remind":
            await self._publish(self._moderation.remind(*who, str(options["text"])))
        elif data["name"] == "plan":
            await self._publish(self._moderation.plan(*who, str(options["text"])))
        elif data["name"] == "Teach: positive":
            text = data["resolved"]["messages"][data["target_id"]]["content"]
            await self._publish(self._moderation.taught(*who, text))

    async def replay(self, packets: list[str]) -> None:
        """Hand recorded gateway events to the library, which makes its own objects of them, as if it were online."""
        await self._async_setup_hook()
        for line in packets:
            packet = json.loads(line)
            self._connection.parsers[packet["t"]](packet["d"])
            # The library starts a task for each event; one after the other keeps their order.
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("discord.py")))
        await self.close()

    async def _publish(self, events: list[Event]) -> None:
        for event in events:
            receipt = await self._becas.publish(event)
            receipt.add_done_callback(show)


def show(done: asyncio.Future[Receipt]) -> None:
    """A receipt as a line of JSON. INVALID means that this bot has a bug: the reason names the field."""
    if done.cancelled() or done.exception() is not None:
        return
    receipt = done.result()
    line = {
        "eventId": receipt.event_id,
        "status": Status.Name(receipt.status).removeprefix("STATUS_"),
        "category": short(Category.Name(receipt.category), "CATEGORY_"),
        "tier": short(Tier.Name(receipt.tier), "TIER_"),
        "score": receipt.score,
        "reasons": list(receipt.reasons),
    }
    print(json.dumps(line), flush=True)


def short(value: str, prefix: str) -> str:
    """`CATEGORY_SCAM_DETECTION` as `scam_detection`; empty where it is not set."""
    name = value.removeprefix(prefix).lower()
    return "" if name == "unspecified" else name


def access() -> Access:
    """Authority and token; a server beyond this machine wants both."""
    ca, token = os.environ.get("BECAS_FT_CA"), os.environ.get("BECAS_FT_TOKEN_FILE")
    return Access(Path(ca) if ca else None, Path(token).read_text(encoding="utf-8").strip() if token else "")


async def run(packets: list[str]) -> None:
    """Run online, or play a file; leaving the block waits for the last receipt."""
    async with Client(os.environ.get("BECAS_FT_SERVER", "127.0.0.1:50051"), access=access()) as becas:
        bot = Bot(becas)
        if packets:
            await bot.replay(packets)
            return
        # Told to stop, it still waits for the last receipts.
        task = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: task and task.cancel())
        async with bot:
            await bot.start(os.environ["DISCORD_TOKEN"])


def main() -> None:
    """Parse the arguments, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replay", type=Path, metavar="FILE", help="gateway events, one a line")
    path = parser.parse_args().replay
    if path is None and "DISCORD_TOKEN" not in os.environ:
        sys.exit("set DISCORD_TOKEN, or name a file with --replay")
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(run([] if path is None else path.read_text(encoding="utf-8").splitlines()))


if __name__ == "__main__":
    main()
