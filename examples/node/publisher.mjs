// Publishes a bot's decisions to becas-ft: copy this file, and proto/, into the bot.
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { credentials, loadPackageDefinition, Metadata, status } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const DEADLINE_MS = 10_000;
const BATCH_EVENTS = 100;
const LINGER_MS = 200;
const BUFFERED_EVENTS = 10_000;
const CLOSE_MS = 30_000;
const FIRST_BACKOFF_MS = 200;
const LONGEST_BACKOFF_MS = 5_000;

// Repeating is safe since an event id counts once; it helps only while the server is away.
const SERVICE_CONFIG = {
  methodConfig: [
    {
      name: [{ service: 'becas.ft.v1.IngestService', method: 'Ingest' }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: '0.5s',
        maxBackoff: '5s',
        backoffMultiplier: 2,
        retryableStatusCodes: ['UNAVAILABLE'],
      },
    },
  ],
};

const PROTO = fileURLToPath(new URL('../../proto', import.meta.url));
const { IngestService } = loadPackageDefinition(
  loadSync('becas/ft/v1/ingest_service.proto', { includeDirs: [PROTO], enums: String, longs: Number, defaults: true }),
).becas.ft.v1;

/** A connection that a bot keeps for its life. */
export class Publisher {
  #client;
  #onReceipt;
  #waiting = [];
  // Who waits for an event, and who for room.
  #arrived = () => {};
  #full = Promise.resolve();
  #roomMade = () => {};
  #closing = false;
  #abandoned = false;
  #stream = null;
  #failure = null;
  #sender;

  /**
   * @param {string} server host and port
   * @param {(event: object, receipt: object) => void} onReceipt told what became of each event given to `publish`
   * @param {{ ca?: Buffer, token?: string }} access the authority to trust, PEM, the system's where there is none; the
   *   bot's token, which travels by TLS only. Without both the server has to be on this machine.
   */
  constructor(server, onReceipt, access = {}) {
    this.#client = new IngestService(server, transport(access), {
      'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
    });
    this.#onReceipt = onReceipt;
    this.#sender = this.#sendBatches().catch((error) => {
      this.#failure = error;
      this.#roomMade();
    });
  }

  /** Sends one event and waits until it is on the server's disk; rejects with UNAVAILABLE after five attempts, or
   * with a status that no repetition mends. */
  publishNow(event) {
    const deadline = Date.now() + DEADLINE_MS;
    return new Promise((resolve, reject) => {
      this.#client.ingest({ events: [event] }, { deadline }, (error, response) =>
        error ? reject(error) : resolve(response.receipts[0]),
      );
    });
  }

  /** Hands over an event; waits only while the buffer is full. Rejects where an earlier batch failed in a way that no
   * repetition mends. */
  async publish(event) {
    while (this.#waiting.length >= BUFFERED_EVENTS && !this.#failure) {
      await this.#full;
    }
    if (this.#failure) throw this.#failure;
    if (this.#closing) throw new Error('the publisher is closed');
    this.#waiting.push(event);
    if (this.#waiting.length === BUFFERED_EVENTS) this.#full = new Promise((resolve) => (this.#roomMade = resolve));
    this.#arrived();
  }

  /** Sends what waits, reads the last receipts, ends the stream, closes the channel. Rejects where the server stayed
   * away: events without a receipt have to be published again. */
  async close() {
    this.#closing = true;
    this.#arrived();
    const enough = new AbortController();
    const tooLong = sleep(CLOSE_MS, 'too long', { signal: enough.signal }).catch(() => {});
    try {
      if ((await Promise.race([this.#sender, tooLong])) === 'too long') {
        throw new Error(`no receipts within ${CLOSE_MS / 1000} s: publish again what has none`);
      }
      if (this.#failure) throw this.#failure;
    } finally {
      enough.abort();
      this.#abandoned = true;
      this.#client.close();
    }
  }

  async #sendBatches() {
    for (let batch = await this.#nextBatch(); batch.length > 0; batch = await this.#nextBatch()) {
      const { receipts } = await this.#exchange({ events: batch });
      if (receipts.length !== batch.length) throw new Error(`${receipts.length} receipts for ${batch.length} events`);
      receipts.forEach((receipt, index) => this.#onReceipt(batch[index], receipt));
    }
    this.#stream?.end();
  }

  /** A full batch at once, a smaller one after a short wait, none at the end. */
  async #nextBatch() {
    if (this.#waiting.length === 0 && !this.#closing) {
      await new Promise((resolve) => (this.#arrived = resolve));
      this.#arrived = () => {};
    }
    if (this.#waiting.length < BATCH_EVENTS && !this.#closing) await sleep(LINGER_MS);
    const batch = this.#waiting.splice(0, BATCH_EVENTS);
    this.#roomMade();
    return batch;
  }

  /** Sends a batch until its receipts are there; the stream is opened anew where it broke. */
  async #exchange(request) {
    for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(2 * backoff, LONGEST_BACKOFF_MS)) {
      try {
        return await this.#attempt(request);
      } catch (error) {
        // A batch that waited too long is cancelled here.
        const again = error.code === status.UNAVAILABLE || error.code === status.CANCELLED;
        if (this.#abandoned || !again) throw error;
      }
      // Bots that lost the same server must not all come back at once.
      await sleep(backoff * (0.8 + 0.4 * Math.random()));
    }
  }

  #attempt(request) {
    this.#stream ??= this.#client.ingestStream();
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      const tooLong = setTimeout(() => stream.cancel(), DEADLINE_MS);
      const settle = (finish, value) => {
        clearTimeout(tooLong);
        stream.removeAllListeners('data').pause();
        finish(value);
      };
      const broken = (error) => {
        if (this.#stream === stream) this.#stream = null;
        settle(reject, error);
      };
      // A stream that breaks between two batches must not end the process: the listener stays.
      stream.removeAllListeners('error').on('error', broken);
      stream.removeAllListeners('end').on('end', () => {
        broken(Object.assign(new Error('the server ended the stream'), { code: status.UNAVAILABLE }));
      });
      stream.once('data', (response) => settle(resolve, response)).resume();
      stream.write(request);
    });
  }
}

function transport({ ca, token }) {
  if (!ca && !token) return credentials.createInsecure();
  const tls = credentials.createSsl(ca ?? null);
  if (!token) return tls;
  const bearer = credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${token}`);
    done(null, metadata);
  });
  return credentials.combineChannelCredentials(tls, bearer);
}
