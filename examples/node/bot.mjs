// A bot that publishes what it decided about seven invented messages, and prints a receipt a line.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { Publisher } from './publisher.mjs';

const MEMBER = '700000000000000001';
const GUILD = '800000000000000001';
// Between two messages; a chat takes its time.
const PACE_SECONDS = Number(process.env.BOT_PACE_SECONDS ?? 0);

/** The envelope: the id says what happened, so that the same happening never has two. */
function event(eventId, fields) {
  const now = Date.now();
  const time = { seconds: Math.floor(now / 1000), nanos: (now % 1000) * 1_000_000 };
  return { eventId, time, userId: MEMBER, guildId: GUILD, ...fields };
}

/** A phishing message; a moderator agreed, and retrieved precedents took part: gold. */
function scam() {
  return event('scam-1001', {
    evidence: { humanValidated: true, ragEnhanced: true },
    scamDetected: {
      text: 'Moonbeam Bank: your vault closes at noon, send the seed words to moonbeam-vault.example',
      analysis: {
        isScam: true,
        scamType: 'phishing',
        severity: 'high',
        confidence: 0.97,
        indicators: ['seed words', 'closes at noon'],
        reasoning: 'It asks for seed words on a look-alike domain and presses for haste.',
      },
    },
  });
}

/** What comes in on a quiet day: one that is too thin, one with a bug, one that is delivered twice. */
function everyday() {
  const message = 'my drawbridge command does nothing since the update';
  return [
    event('language-1002', {
      languageDetected: { text: 'Der Kater schläft auf der Fensterbank.', detectedLanguage: 'de', confidence: 0.99 },
    }),
    event('tool-1003', {
      toolExecuted: {
        toolName: 'reminder',
        toolCategory: 'productivity',
        input: 'remind me to water the ferns on Friday',
        success: true,
      },
    }),
    event('intent-1004', {
      intentAnalyzed: {
        message,
        surfaceIntent: 'statement',
        deepIntent: {
          primaryIntent: 'complain',
          emotionalState: 'annoyed',
          suggestedAction: 'answer',
          confidence: 0.92,
          reasoning: 'The member reports that a command stopped working and sounds annoyed.',
        },
        conversationalContext: { recentMessages: 4 },
      },
    }),
    // The bug: confidences are shares, not per cent.
    event('violation-1005', {
      violationDetected: {
        violationType: 'spam',
        severity: 'low',
        confidence: 97,
        evidence: 'FERNS FERNS FERNS cheap ferns',
      },
    }),
    // A gateway that reconnects delivers messages again; the id makes it harmless.
    scam(),
    event('correction-1006', {
      causationId: 'intent-1004',
      aiCorrection: {
        correction: {
          aiDecision: { action: 'none', reason: 'complaint', confidence: 0.92, context: message },
          category: 'wrong_intent',
          aiMistake: 'Took a call for help for a complaint',
          lesson: 'A broken command is a call for help',
          correctedLabel: 'ask_for_help',
        },
      },
    }),
  ];
}

/** One line of JSON on standard output; bugs of this bot also go to standard error. */
function show(sent, receipt) {
  const line = {
    eventId: receipt.eventId,
    status: receipt.status.replace('STATUS_', ''),
    category: name(receipt.category, 'CATEGORY_'),
    tier: name(receipt.tier, 'TIER_'),
    score: receipt.score,
    reasons: receipt.reasons,
  };
  console.log(JSON.stringify(line));
  if (receipt.status === 'STATUS_INVALID') {
    // Sending it again would not help: mend the bot. The reason says which field, and what it takes.
    for (const reason of receipt.reasons) console.error(`bug in this bot, event ${sent.eventId}: ${reason}`);
  }
}

/** `CATEGORY_SCAM_DETECTION` as `scam_detection`; empty where it is not set. */
function name(value, prefix) {
  const short = value.replace(prefix, '').toLowerCase();
  return short === 'unspecified' ? '' : short;
}

/** What stands in the file that a variable names; undefined where it names none. */
function content(variable) {
  const path = process.env[variable];
  return path ? readFileSync(path) : undefined;
}

const publisher = new Publisher(process.env.BECAS_FT_SERVER ?? '127.0.0.1:50051', show, {
  ca: content('BECAS_FT_CA'),
  // Servers beyond this machine want one.
  token: content('BECAS_FT_TOKEN_FILE')?.toString().trim() ?? process.env.BECAS_FT_TOKEN,
});
try {
  const urgent = scam();
  show(urgent, await publisher.publishNow(urgent));
  for (const decided of everyday()) {
    await sleep(1000 * PACE_SECONDS);
    await publisher.publish(decided);
  }
} finally {
  await publisher.close();
}
