// What a bot decides, as events for becas-ft. The rules stand in for your models; the events are what you keep.
import { eventId } from 'becas-ft-client';

const SCAM_SIGNS = ['seed words', 'vault closes', 'free nitro'];
const INSULTS = ['idiot'];
const GERMAN = new Set(['der', 'die', 'das', 'ist', 'und', 'auf']);
const POSITIVE = new Set(['lovely', 'thanks', 'schön']);
const NEGATIVE = new Set(['idiot', 'nothing', 'broken']);
const POLICY = { description: 'No links to banks, shops or wallets.', threshold: 0.8 };
const FIRST_TRUST = 50;
const LOST_TRUST = 15;
const SIMILAR = 0.6;
const RAID_MEMBERS = 4;
const RAID_MS = 60_000;
const YOUNG_MS = 24 * 60 * 60_000;
const COPIES = 3;

/**
 * @typedef {import('becas-ft-client').EventInit} Event
 * @typedef {{ messageId: string, userId: string, guildId: string, channel: string, text: string, time: Date,
 *   toBot: boolean }} Said a message, whatever the library
 */

/** Decides, and remembers what later decisions and corrections need. */
export class Moderation {
  #trust = new Map();
  #violations = new Map();
  #flagged = new Map();
  #said = new Map();
  #joined = [];
  #messages = 0;

  /** Everything that is decided about a message, harmless or not: models learn from both.
   * @param {Said} said
   * @returns {Event[]} */
  message(said) {
    this.#messages++;
    const scam = scamOf(said);
    const violation = violationOf(said);
    const events = [languageOf(said), sentimentOf(said), scam, violation, policyOf(said)];
    if (said.toBot) events.push(this.#intent(said));
    if (scam.scamDetected.analysis.isScam) {
      events.push(...this.#precedents(said, scam), ...this.#consequences(said, 'phishing'));
      this.#flagged.set(said.messageId, { said, decision: scam });
    } else if (violation.violationDetected.violationType !== 'none') {
      events.push(...this.#consequences(said, 'harassment'));
      this.#flagged.set(said.messageId, { said, decision: violation });
    }
    return [...events, ...this.#copies(said)];
  }

  /** A raid: several young accounts within a minute.
   * @returns {Event[]} */
  joined(userId, guildId, time, accountSince) {
    if (time - accountSince > YOUNG_MS) return [];
    this.#joined.push({ time, userId });
    this.#joined = this.#joined.filter((other) => time - other.time <= RAID_MS);
    if (this.#joined.length !== RAID_MEMBERS) return [];
    const users = this.#joined.map((other) => other.userId);
    const networkRaidDetected = {
      pattern: 'mass_join',
      users,
      confidence: 0.92,
      indicators: [`${users.length} accounts younger than a day joined within a minute`],
    };
    // Evidence is what the payload has no field for; this one lifts the event over the lowest tier.
    const evidence = { reasoning: 'Four accounts that are younger than a day came within one minute of each other.' };
    return [event('network.raid_detected', users[0], { time, guildId, evidence, networkRaidDetected })];
  }

  /** A moderator says that a flagged message is fine: the correction names the event that was wrong.
   * @returns {Event[]} */
  dismissed(messageId, moderatorId) {
    const flagged = this.#flagged.get(messageId);
    if (!flagged) return [];
    this.#flagged.delete(messageId);
    const { said, decision } = flagged;
    const decided = decision.scamDetected?.analysis ?? decision.violationDetected;
    const what = decided.scamType ?? decided.violationType;
    const correction = {
      aiDecision: {
        action: what,
        target: said.userId,
        reason: decided.reasoning,
        confidence: decided.confidence,
        context: said.text,
      },
      category: 'false_positive',
      aiMistake: `Took a harmless message for ${what}`,
      lesson: 'Friends tease each other; a rude word alone is no harassment',
      moderatorAction: { type: 'dismiss', reason: 'They are friends and were joking' },
      guildId: said.guildId,
    };
    const envelope = { userId: moderatorId, guildId: said.guildId, causationId: decision.eventId };
    return [event('ai.correction', messageId, { ...envelope, aiCorrection: { correction } })];
  }

  /** A moderator acted; without a reason there is nothing to learn.
   * @returns {Event[]} */
  acted({ entryId, action, targetId, executorId, guildId, reason, seconds }) {
    if (!reason) return [];
    const moderationActionExecuted = {
      actionType: action,
      targetUserId: targetId,
      executorId,
      reason,
      guildId,
      ...(seconds !== undefined && { duration: seconds * 1000 }),
    };
    return [event('moderation.action_executed', entryId, { userId: targetId, guildId, moderationActionExecuted })];
  }

  /** The command `/remind`: a tool was chosen for a request, and ran.
   * @returns {Event[]} */
  remind({ commandId, userId, guildId }, text) {
    const toolExecuted = { toolName: 'reminder', toolCategory: 'productivity', input: text, success: true };
    return [event('tool.executed', commandId, { userId, guildId, toolExecuted })];
  }

  /** The command `/plan`: a request was split into steps, each a tool.
   * @returns {Event[]} */
  plan({ commandId, userId, guildId }, text) {
    const tools = text.split(' then ').map((part) => part.split(' ')[0]);
    const steps = tools.map((tool, index) => ({ id: index + 1, tool, dependsOn: index > 0 ? [index] : [] }));
    const workflowParsed = { workflowText: text, parsed: { steps }, steps: tools };
    return [event('workflow.parsed', commandId, { userId, guildId, workflowParsed })];
  }

  /** The message command `Teach: positive`: a moderator gives a ready example.
   * @returns {Event[]} */
  taught({ commandId, userId, guildId }, text) {
    const customExample = { category: 'sentiment_analysis', input: text, output: 'positive', confidence: 1 };
    return [event('custom.example', commandId, { userId, guildId, customExample })];
  }

  #intent(said) {
    const helped = words(said.text).has('help');
    return of(said, 'intent.analyzed', {
      intentAnalyzed: {
        message: said.text,
        surfaceIntent: 'statement',
        deepIntent: {
          primaryIntent: helped ? 'ask_for_help' : 'talk',
          emotionalState: helped ? 'annoyed' : 'calm',
          suggestedAction: 'answer',
          confidence: 0.92,
          reasoning: 'The member speaks to the bot, names something that fails, and wants it mended.',
        },
        conversationalContext: { recentMessages: this.#messages },
      },
    });
  }

  /** Earlier scams that read alike make the bot surer. */
  #precedents(said, decision) {
    const alike = [...this.#flagged.values()]
      .filter((earlier) => earlier.decision.scamDetected)
      .map((earlier) => overlap(said.text, earlier.said.text))
      .filter((share) => share >= SIMILAR);
    if (alike.length === 0) return [];
    const { messageId, guildId } = said;
    const ragSuspiciousSimilarity = {
      messageId,
      guildId,
      similarViolations: alike.length,
      avgSimilarity: alike.reduce((sum, share) => sum + share, 0) / alike.length,
      examples: alike.map(() => ({ violationType: 'phishing' })),
    };
    const ragContextEnhanced = {
      messageId,
      guildId,
      originalConfidence: decision.scamDetected.analysis.confidence,
      enhancedConfidence: 0.99,
      precedents: alike.length,
      enhancedReasoning: 'A message that reads almost the same was found to be phishing before.',
    };
    return [
      of(said, 'rag.suspicious_similarity', { ragSuspiciousSimilarity }),
      of(said, 'rag.context_enhanced', { ragContextEnhanced }),
    ];
  }

  /** What a violation does to its author's standing. */
  #consequences(said, what) {
    const { userId, guildId } = said;
    const oldScore = this.#trust.get(userId) ?? FIRST_TRUST;
    const newScore = Math.max(0, oldScore - LOST_TRUST);
    const violations = (this.#violations.get(userId) ?? 0) + 1;
    this.#trust.set(userId, newScore);
    this.#violations.set(userId, violations);
    const reason = `a message was found to be ${what}`;
    const profile = {
      activityLevel: 'low',
      trustScore: newScore,
      violations,
      behaviorPattern: `writes little, ${what} among it`,
      riskLevel: violations > 1 ? 'high' : 'medium',
    };
    return [
      of(said, 'trust_score.changed', {
        trustScoreChanged: { userId, guildId, oldScore, newScore, delta: newScore - oldScore, reason },
      }),
      of(said, 'user.profile_updated', {
        userProfileUpdated: { userId, profile, updates: ['trust_score', 'violations'] },
      }),
    ];
  }

  /** Accounts that say the same, word for word. */
  #copies(said) {
    const key = `${said.guildId} ${said.text}`;
    const same = this.#said.get(key) ?? [];
    if (same.includes(said.userId)) return [];
    this.#said.set(key, [...same, said.userId]);
    if (same.length + 1 !== COPIES) return [];
    const networkBotPattern = {
      pattern: 'identical_message_burst',
      users: [...same, said.userId],
      confidence: 0.9,
      indicators: [`${COPIES} accounts posted the same text`],
    };
    return [of(said, 'network.bot_pattern', { networkBotPattern })];
  }
}

function scamOf(said) {
  const indicators = SCAM_SIGNS.filter((sign) => said.text.toLowerCase().includes(sign));
  const isScam = indicators.length > 0;
  const analysis = {
    isScam,
    scamType: isScam ? 'phishing' : 'none',
    severity: isScam ? 'high' : 'none',
    confidence: isScam ? 0.97 : 0.88,
    indicators,
    reasoning: isScam
      ? 'It presses for haste and asks for what no bank ever asks its customers for.'
      : 'Nothing in it asks for money or secrets, and nothing presses for haste.',
    shouldBanPermanently: isScam,
  };
  return of(said, 'scam.detected', { scamDetected: { text: said.text, analysis } });
}

function violationOf(said) {
  const rude = INSULTS.some((word) => said.text.toLowerCase().includes(word));
  return of(said, 'violation.detected', {
    violationDetected: {
      violationType: rude ? 'harassment' : 'none',
      severity: rude ? 'medium' : 'none',
      confidence: rude ? 0.86 : 0.9,
      evidence: said.text,
      reasoning: rude
        ? 'It calls another member names, which the first rule of this server forbids.'
        : 'It insults nobody, threatens nobody and advertises nothing to the members.',
      messageId: said.messageId,
    },
  });
}

function policyOf(said) {
  const violates = said.text.includes('.example');
  const reasoning = violates ? 'It names the site of a bank.' : 'It names no site and links to nothing at all.';
  return of(said, 'policy.evaluated', {
    policyEvaluated: { policy: POLICY, evaluation: { violates, confidence: 0.9, reasoning }, message: said.text },
  });
}

function languageOf(said) {
  const detectedLanguage = shared(GERMAN, words(said.text)) > 1 ? 'de' : 'en';
  return of(said, 'language.detected', { languageDetected: { text: said.text, detectedLanguage, confidence: 0.95 } });
}

function sentimentOf(said) {
  const good = shared(POSITIVE, words(said.text));
  const bad = shared(NEGATIVE, words(said.text));
  const sentiment = good > bad ? 'positive' : bad > good ? 'negative' : 'neutral';
  const { score, emotion } = {
    positive: { score: 0.8, emotion: 'joy' },
    negative: { score: -0.8, emotion: 'anger' },
    neutral: { score: 0, emotion: 'none' },
  }[sentiment];
  return of(said, 'sentiment.analyzed', { sentimentAnalyzed: { message: said.text, sentiment, score, emotion } });
}

function words(text) {
  return new Set(text.split(/\s+/).map((word) => word.replace(/^[.,:;!?]+|[.,:;!?]+$/g, '').toLowerCase()));
}

function shared(left, right) {
  return [...left].filter((word) => right.has(word)).length;
}

/** Shared words among all words. */
function overlap(left, right) {
  const [one, other] = [words(left), words(right)];
  return shared(one, other) / new Set([...one, ...other]).size;
}

function of({ messageId, time, userId, guildId, channel }, kind, payload) {
  return event(kind, messageId, { time, userId, guildId, evidence: { context: `channel: ${channel}` }, ...payload });
}

/** The envelope; its id says what happened, so that the same happening never has two. */
function event(kind, about, fields) {
  return { eventId: eventId(kind, about), ...fields };
}
