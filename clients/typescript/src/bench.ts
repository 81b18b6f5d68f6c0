// Publishes invented events as fast as their receipts come, and says how fast.
//
// Reads BECAS_FT_SERVER, BECAS_FT_CA and BECAS_FT_TOKEN_FILE as the command becas-ft does. Prints one JSON object:
// {"events", "seconds", "events_per_second", "statuses"}; with --trace also a line for each event that was accepted, and
// one for what became of it.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { Metadata } from '@grpc/grpc-js';

import { Client, ClosedError, DeliveryError } from './index.js';
import { Event, IngestServiceClient, type IngestResponse, type Receipt } from './v1.js';

const REASONING = 'The wording asks for a payment and promises a prize that nobody announced in the guild.';
const CALL_MS = 30_000;

const { values: options } = parseArgs({
  options: {
    server: { type: 'string', default: process.env['BECAS_FT_SERVER'] ?? '127.0.0.1:50051' },
    events: { type: 'string', default: '200000' },
    // Of their ids and texts; the same again: duplicates.
    prefix: { type: 'string', default: 'bench' },
    // Of their decisions; over 1: INVALID.
    confidence: { type: 'string', default: '0.9' },
    // Seconds between two events.
    pace: { type: 'string', default: '0' },
    // One call an event, not a stream.
    calls: { type: 'boolean', default: false },
    // A line for each event and each receipt.
    trace: { type: 'boolean', default: false },
    'buffer-bytes': { type: 'string' },
    // Does not flush, and closes within so many seconds.
    'close-seconds': { type: 'string' },
  },
});

/** A gold event whose text no other number has. */
function invented(prefix: string, number: number, confidence: number): Event {
  const letters = [...String(number)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
  return Event.fromPartial({
    eventId: `${prefix}-${number}`,
    userId: String(700_000_000_000_000_000n + BigInt(number % 5000)),
    guildId: String(800_000_000_000_000_000n + BigInt(number % 50)),
    evidence: { humanValidated: true, ragEnhanced: true },
    scamDetected: {
      text: `Moonbeam Bank: vault ${prefix} ${letters} closes, send the seed words to moonbeam-vault.example`,
      analysis: { isScam: true, scamType: 'prize', severity: 'high', confidence, reasoning: REASONING },
    },
  });
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function short(receipt: Receipt): string {
  return receipt.status.replace('STATUS_', '');
}

/** Publishes everything in batches over a stream. */
async function publish(client: Client, events: Event[]): Promise<Receipt[]> {
  const pace = Number(options.pace) * 1000;
  const receipts: Promise<Receipt>[] = [];
  for (const event of events) {
    const { receipt } = await client.publish(event);
    receipts.push(receipt);
    if (options.trace) {
      say({ accepted: event.eventId });
      receipt.then(
        (told) => say({ receipt: told.eventId, status: short(told), reasons: told.reasons }),
        () => {},
      );
    }
    if (pace > 0) await sleep(pace);
  }
  if (options['close-seconds'] === undefined) await client.flush();
  await client.close();
  return Promise.all(receipts);
}

/** One Ingest an event, over the same connection. */
async function call(client: Client, events: Event[]): Promise<Receipt[]> {
  const stub = client.stub(IngestServiceClient);
  const receipts: Receipt[] = [];
  for (const event of events) {
    const response = await new Promise<IngestResponse>((resolve, reject) => {
      stub.ingest({ events: [event] }, new Metadata(), { deadline: Date.now() + CALL_MS }, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
    });
    receipts.push(...response.receipts);
  }
  await client.close();
  return receipts;
}

async function main(): Promise<void> {
  const { BECAS_FT_CA: ca, BECAS_FT_TOKEN_FILE: token } = process.env;
  const events = Array.from({ length: Number(options.events) }, (_, number) =>
    invented(options.prefix, number, Number(options.confidence)),
  );
  const client = new Client(options.server, {
    ...(ca && { ca: readFileSync(ca) }),
    ...(token && { token: readFileSync(token, 'utf8').trim() }),
    ...(options['buffer-bytes'] && { bufferBytes: Number(options['buffer-bytes']) }),
    ...(options['close-seconds'] && { closeMs: 1000 * Number(options['close-seconds']) }),
  });
  const start = performance.now();
  const receipts = await (options.calls ? call(client, events) : publish(client, events));
  const seconds = (performance.now() - start) / 1000;
  const statuses: Record<string, number> = {};
  for (const receipt of receipts) statuses[short(receipt)] = (statuses[short(receipt)] ?? 0) + 1;
  say({ events: receipts.length, seconds, events_per_second: receipts.length / seconds, statuses });
}

main().catch((error: unknown) => {
  if (!(error instanceof ClosedError || error instanceof DeliveryError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
