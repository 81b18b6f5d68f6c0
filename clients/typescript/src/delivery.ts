import { setTimeout as sleep } from 'node:timers/promises';

import { status, type Client, type ClientDuplexStream, type StatusObject } from '@grpc/grpc-js';
import { BinaryWriter } from '@bufbuild/protobuf/wire';

import { Bell } from './bell.js';
import type { Batch, Buffer as EventBuffer } from './buffer.js';
import { DeliveryError } from './errors.js';
import { IngestResponse } from './generated/becas/ft/v1/ingest.js';
import { again, Backoff } from './retry.js';
import type { Settings } from './settings.js';

const METHOD = '/becas.ft.v1.IngestService/IngestStream';
// As many as the server works on at once; more would only wait there.
const WINDOW = 16;
const LOOK_MS = 500;
// Field 1 of IngestRequest, length-delimited.
const EVENTS_TAG = 0x0a;

type Stream = ClientDuplexStream<Uint8Array, IngestResponse>;

/** Brings batches to the server, over one stream after another, until each has its receipts; what a broken stream left
 * unanswered goes first over the next. */
export class Delivery {
  #inFlight: Batch[] = [];
  #answered = new Bell();
  #gaveUp = new AbortController();
  #backoff: Backoff;

  constructor(
    private readonly client: Client,
    private readonly buffer: EventBuffer,
    private readonly settings: Settings,
  ) {
    this.#backoff = new Backoff(settings);
  }

  /** Delivers until the buffer is closed and empty, or until the server says what no repetition mends. */
  async run(): Promise<void> {
    try {
      while (this.#inFlight.length > 0 || (await this.buffer.waitForWork(this.#gaveUp.signal))) {
        const ended = await this.#oneStream();
        if (this.#gaveUp.signal.aborted) return;
        if (ended && !again(ended.code)) throw new DeliveryError(ended.code, ended.details);
        if (ended || this.#inFlight.length > 0) {
          await sleep(this.#backoff.pause(ended), undefined, { signal: this.#gaveUp.signal });
        }
      }
    } catch (error) {
      // Whoever waits for a receipt has to hear of any.
      if (!this.#gaveUp.signal.aborted) this.buffer.fail(error as Error, this.#inFlight.splice(0));
    }
  }

  /** Nothing that is left will be delivered. */
  giveUp(error: Error): void {
    this.#gaveUp.abort();
    this.buffer.fail(error, this.#inFlight.splice(0));
  }

  /** Sends and reads until the stream ends; the status that ended it, null where it ended well. */
  #oneStream(): Promise<StatusObject | null> {
    const stream: Stream = this.client.makeBidiStreamRequest(
      METHOD,
      (request: Uint8Array) => Buffer.from(request.buffer, request.byteOffset, request.length),
      (response: Buffer) => IngestResponse.decode(response),
    );
    const over = new AbortController();
    const giveUp = () => stream.cancel();
    this.#gaveUp.signal.addEventListener('abort', giveUp);
    const watch = setInterval(() => this.#watch(stream), Math.min(LOOK_MS, this.settings.answerMs / 2));
    return new Promise((resolve, reject) => {
      const end = (finish: () => void) => {
        clearInterval(watch);
        this.#gaveUp.signal.removeEventListener('abort', giveUp);
        over.abort();
        // The writer looks whether it is over.
        this.buffer.arrived.ring();
        this.#answered.ring();
        finish();
      };
      const broken = (error: Error) => {
        stream.cancel();
        end(() => reject(error));
      };
      stream.on('data', (response) => {
        if (over.signal.aborted) return;
        try {
          this.#settle(response);
        } catch (error) {
          broken(error as Error);
        }
      });
      // The status says the same, and comes after everything else.
      stream.on('error', () => {});
      stream.on('status', (ended) => end(() => resolve(ended.code === status.OK ? null : ended)));
      this.#write(stream, over.signal).catch(broken);
    });
  }

  async #write(stream: Stream, over: AbortSignal): Promise<void> {
    for (const batch of this.#inFlight) send(stream, batch);
    while (!over.aborted) {
      if (this.#inFlight.length >= WINDOW) {
        await this.#answered.wait();
        continue;
      }
      const batch = await this.buffer.nextBatch(over);
      if (!batch) break;
      this.#inFlight.push(batch);
      send(stream, batch);
    }
    if (!over.aborted) stream.end();
  }

  /** Gives a stream up whose oldest batch waits too long. */
  #watch(stream: Stream): void {
    const [oldest] = this.#inFlight;
    if (oldest && oldest.sent + this.settings.answerMs < performance.now()) stream.cancel();
  }

  /** Responses come in the order of the requests, receipts in the order of the events. */
  #settle({ receipts }: IngestResponse): void {
    const entries = this.#inFlight[0]?.entries ?? [];
    const same = entries.length === receipts.length && entries.every((entry, i) => entry.eventId === receipts[i]?.eventId);
    if (!same || entries.length === 0) {
      throw new DeliveryError(status.INTERNAL, "the server's receipts are not those of the events sent");
    }
    this.#inFlight.shift();
    this.buffer.settle(entries, receipts);
    this.#answered.ring();
    this.#backoff.reset();
  }
}

/** An IngestRequest of events that are encoded already. */
function send(stream: Stream, batch: Batch): void {
  const request = new BinaryWriter();
  for (const { content } of batch.entries) request.uint32(EVENTS_TAG).bytes(content);
  batch.sent = performance.now();
  stream.write(request.finish());
}
