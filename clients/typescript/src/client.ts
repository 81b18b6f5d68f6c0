import { setTimeout as sleep } from 'node:timers/promises';

import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { Client as Connection, type ChannelCredentials, type ClientOptions } from '@grpc/grpc-js';

import { Buffer as EventBuffer } from './buffer.js';
import { channelCredentials, channelOptions } from './channel.js';
import { Delivery } from './delivery.js';
import { ClosedError } from './errors.js';
import { MAX_EVENT_ID_BYTES } from './event-id.js';
import { Event } from './generated/becas/ft/v1/event.js';
import type { Receipt } from './generated/becas/ft/v1/ingest.js';
import { DEFAULTS, type Access, type Settings } from './settings.js';

/** Short texts become bytes several times quicker than by the writer's own TextEncoder. */
const utf8 = (text: string): Uint8Array => Buffer.from(text);

/** An event as it is written down: fields that are left out have their defaults. */
export type EventInit = Parameters<typeof Event.fromPartial>[0];

/** An event that was accepted. */
export interface Pending {
  /** What became of it; rejects where there will be no receipt. May be left alone. */
  receipt: Promise<Receipt>;
}

/** What a bot keeps for its life; publishes events in batches over a stream. */
export class Client {
  readonly #settings: Settings;
  readonly #credentials: ChannelCredentials;
  readonly #connection: Connection;
  readonly #buffer: EventBuffer;
  readonly #delivery: Delivery;
  readonly #sender: Promise<void>;

  /**
   * @param server host and port
   * @param options authority and token, for a server beyond this machine; sizes and times
   */
  constructor(server: string, options: Access & Partial<Settings> = {}) {
    const { ca, token, ...settings } = options;
    this.#settings = { ...DEFAULTS, ...settings };
    this.#credentials = channelCredentials({ ...(ca && { ca }), ...(token && { token }) });
    this.#connection = new Connection(server, this.#credentials, channelOptions(this.#settings));
    this.#buffer = new EventBuffer(this.#settings);
    this.#delivery = new Delivery(this.#connection, this.#buffer, this.#settings);
    this.#sender = this.#delivery.run();
  }

  /** A generated client of another service over the same connection: `client.stub(ShadowServiceClient)`. Short failures
   * of calls that are safe to repeat are retried as service_config.json says. */
  stub<Stub>(service: new (server: string, credentials: ChannelCredentials, options: ClientOptions) => Stub): Stub {
    const channelOverride = this.#connection.getChannel();
    return new service(channelOverride.getTarget(), this.#credentials, { channelOverride });
  }

  /**
   * Hands over an event; waits only while the buffer is full. What is done to the event afterwards does not change what
   * is sent.
   *
   * @param options a signal that ends the wait
   * @throws RangeError the event has no usable id, or is larger than a batch may be
   * @throws ClosedError, DeliveryError the client is closed; the server said what no repetition mends
   */
  async publish(event: EventInit, options: { signal?: AbortSignal } = {}): Promise<Pending> {
    const eventId = event.eventId ?? '';
    if (eventId === '' || Buffer.byteLength(eventId) > MAX_EVENT_ID_BYTES) {
      throw new RangeError(
        `eventId: empty, or over ${MAX_EVENT_ID_BYTES} bytes: derive it from what happened, by ` +
          `eventId('scam.detected', message.id)`,
      );
    }
    const content = Event.encode(Event.fromPartial(event), new BinaryWriter(utf8)).finish();
    if (content.length > this.#settings.batchBytes) {
      throw new RangeError(
        `event: ${content.length} bytes, at most ${this.#settings.batchBytes}: shorten its texts, or raise batchBytes ` +
          `and the server's limits`,
      );
    }
    let settle!: Pick<Parameters<EventBuffer['put']>[0], 'resolve' | 'reject'>;
    const receipt = new Promise<Receipt>((resolve, reject) => (settle = { resolve, reject }));
    // `publish`, `flush` and `close` say it too: who does not look here is not ended by it.
    receipt.catch(() => {});
    await this.#buffer.put({ eventId, content, since: 0, ...settle }, options.signal);
    return { receipt };
  }

  /** Sends what waits at once; resolves when everything that was accepted before has its receipt. */
  flush(): Promise<void> {
    return this.#buffer.flush();
  }

  /**
   * Sends what waits, reads the last receipts, ends the stream, closes the connection; again: nothing.
   *
   * @throws ClosedError the server stayed away, and so many events have no receipt: publish them again
   */
  async close(): Promise<void> {
    if (this.#buffer.closed) return;
    this.#buffer.close();
    const enough = new AbortController();
    const tooLong = sleep(this.#settings.closeMs, undefined, { signal: enough.signal }).catch(() => {});
    await Promise.race([this.#sender, tooLong]);
    enough.abort();
    const left = this.#buffer.unsettled;
    if (left > 0) {
      this.#delivery.giveUp(new ClosedError(`closed while ${left} events had no receipt: publish them again`));
    }
    this.#connection.close();
    if (this.#buffer.failure) throw this.#buffer.failure;
  }
}
