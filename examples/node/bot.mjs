// A Discord bot that publishes what it decides; with --replay it plays recorded gateway events, without a network.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { Client as Becas } from 'becas-ft-client';
import { AuditLogEvent, Client, Events, GatewayIntentBits, Partials, PermissionFlagsBits, Status } from 'discord.js';

import { Moderation } from './moderation.mjs';

const ACTIONS = {
  [AuditLogEvent.MemberBanAdd]: 'ban',
  [AuditLogEvent.MemberBanRemove]: 'unban',
  [AuditLogEvent.MemberKick]: 'kick',
};
const DISMISS = '❌';

/** A client whose events are decided about and published. */
function makeBot(becas) {
  const moderation = new Moderation();
  const bot = new Client({
    intents: [
      GatewayIntentBits.Guilds,
      GatewayIntentBits.GuildMembers,
      GatewayIntentBits.GuildModeration,
      GatewayIntentBits.GuildMessages,
      GatewayIntentBits.GuildMessageReactions,
      GatewayIntentBits.MessageContent,
    ],
    partials: [Partials.Message, Partials.Reaction],
  });
  const publish = (events) => publishAll(becas, events);

  bot.on(Events.MessageCreate, (message) => {
    if (message.author.bot || !message.inGuild()) return;
    // Here you act on what was decided: delete, warn, answer.
    publish(
      moderation.message({
        messageId: message.id,
        userId: message.author.id,
        guildId: message.guildId,
        channel: message.channel.name,
        text: message.content,
        time: message.createdAt,
        toBot: message.mentions.users.has(bot.user.id),
      }),
    );
  });

  // Raids.
  bot.on(Events.GuildMemberAdd, (member) => {
    publish(moderation.joined(member.id, member.guild.id, member.joinedAt ?? new Date(), member.user.createdAt));
  });

  // A moderator's ❌ on a message says that flagging it was wrong.
  bot.on(Events.MessageReactionAdd, (reaction, user) => {
    const member = reaction.message.guild?.members.cache.get(user.id);
    if (reaction.emoji.name === DISMISS && member?.permissions.has(PermissionFlagsBits.ModerateMembers)) {
      publish(moderation.dismissed(reaction.message.id, user.id));
    }
  });

  // What moderators do, by hand or with other bots.
  bot.on(Events.GuildAuditLogEntryCreate, (entry, guild) => {
    const until = entry.changes.find((change) => change.key === 'communication_disabled_until')?.new;
    const timeout = entry.action === AuditLogEvent.MemberUpdate && until;
    const action = timeout ? 'timeout' : ACTIONS[entry.action];
    if (!action || !entry.targetId) return;
    publish(
      moderation.acted({
        entryId: entry.id,
        action,
        targetId: entry.targetId,
        executorId: entry.executorId,
        guildId: guild.id,
        reason: entry.reason,
        ...(timeout && { seconds: Math.round((Date.parse(until) - entry.createdTimestamp) / 1000) }),
      }),
    );
  });

  // Commands. Here you also run and answer them.
  bot.on(Events.InteractionCreate, (interaction) => {
    if (!interaction.isCommand()) return;
    const who = { commandId: interaction.id, userId: interaction.user.id, guildId: interaction.guildId };
    if (interaction.commandName === 'remind') {
      publish(moderation.remind(who, interaction.options.getString('text', true)));
    } else if (interaction.commandName === 'plan') {
      publish(moderation.plan(who, interaction.options.getString('text', true)));
    } else if (interaction.isMessageContextMenuCommand() && interaction.commandName === 'Teach: positive') {
      publish(moderation.taught(who, interaction.targetMessage.content));
    }
  });
  return bot;
}

/** Publishes in order; a full buffer makes this wait, not the library. */
let published = Promise.resolve();
function publishAll(becas, events) {
  published = published.then(async () => {
    for (const event of events) {
      const { receipt } = await becas.publish(event);
      receipt.then(show, () => {});
    }
  });
}

/** A receipt as a line of JSON. INVALID means that this bot has a bug: the reason names the field. */
function show({ eventId, status, category, tier, score, reasons }) {
  const line = {
    eventId,
    status: short(status, 'STATUS_').toUpperCase(),
    category: short(category, 'CATEGORY_'),
    tier: short(tier, 'TIER_'),
    score,
    reasons,
  };
  console.log(JSON.stringify(line));
}

/** `CATEGORY_SCAM_DETECTION` as `scam_detection`; empty where it is not set. */
function short(value, prefix) {
  const name = value.slice(prefix.length).toLowerCase();
  return name === 'unspecified' ? '' : name;
}

/** Hands recorded gateway events to the library, which makes its own objects of them, as if it were online. */
function replay(bot, path) {
  bot.ws.status = Status.Ready;
  const shard = { id: 0, status: Status.Ready, checkReady() {}, gotGuild() {} };
  for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) bot.ws.handlePacket(JSON.parse(line), shard);
}

const { values: options } = parseArgs({ options: { replay: { type: 'string' } } });
const { BECAS_FT_SERVER: server, BECAS_FT_CA: ca, BECAS_FT_TOKEN_FILE: token, DISCORD_TOKEN } = process.env;
if (!options.replay && !DISCORD_TOKEN) {
  console.error('set DISCORD_TOKEN, or name a file with --replay');
  process.exit(1);
}
const becas = new Becas(server ?? '127.0.0.1:50051', {
  ...(ca && { ca: readFileSync(ca) }),
  ...(token && { token: readFileSync(token, 'utf8').trim() }),
});
const bot = makeBot(becas);
const end = async () => {
  await bot.destroy();
  await published;
  await becas.close();
};
if (options.replay) {
  replay(bot, options.replay);
  await end();
} else {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end);
  await bot.login(DISCORD_TOKEN);
}
