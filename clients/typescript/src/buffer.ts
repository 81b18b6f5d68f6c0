import { setImmediate as nextTurn } from 'node:timers/promises';

import { Bell } from './bell.js';
import { ClosedError } from './errors.js';
import type { Receipt } from './generated/becas/ft/v1/ingest.js';
import type { Settings } from './settings.js';

/** An event that was accepted. */
export interface Entry {
  eventId: string;
  content: Uint8Array;
  resolve: (receipt: Receipt) => void;
  reject: (error: Error) => void;
  /** When it was accepted, by performance.now(). */
  since: number;
}

/** What goes in one message. */
export interface Batch {
  entries: Entry[];
  /** When, by performance.now(). */
  sent: number;
}

/** Events that have no receipt yet: bounded in bytes, in the order of publishing. */
export class Buffer {
  #waiting: Entry[] = [];
  #waitingBytes = 0;
  #heldBytes = 0;
  #accepted = 0;
  #settled = 0;
  // Everything accepted up to this number goes out without waiting for others.
  #hurried = 0;
  #progress = new Bell();
  /** Rings when something came, or is to go out at once. */
  readonly arrived = new Bell();
  closed = false;
  failure: Error | null = null;

  constructor(private readonly settings: Settings) {}

  /** How many accepted events have no receipt. */
  get unsettled(): number {
    return this.#accepted - this.#settled;
  }

  /** Accepts an event, once there is room. */
  async put(entry: Entry, signal?: AbortSignal): Promise<void> {
    this.#check();
    while (this.#heldBytes > 0 && this.#heldBytes + entry.content.length > this.settings.bufferBytes) {
      await this.#progress.wait(signal ? { signal } : {});
      this.#check();
    }
    entry.since = performance.now();
    this.#heldBytes += entry.content.length;
    this.#waitingBytes += entry.content.length;
    this.#waiting.push(entry);
    this.#accepted++;
    // Whoever waits for more than one event waits for a full batch, or for its time to be over.
    if (this.#waiting.length === 1 || this.#full()) this.arrived.ring();
    // Who publishes in a tight loop must not keep the network from its turn.
    if (this.#accepted % this.settings.batchEvents === 0) await nextTurn();
  }

  /** Waits until something is to be sent; false where nothing ever will be, or the signal aborts. */
  async waitForWork(signal?: AbortSignal): Promise<boolean> {
    while (this.#waiting.length === 0) {
      if (this.closed || signal?.aborted) return false;
      await this.arrived.wait();
    }
    return !signal?.aborted;
  }

  /** A full batch at once, a smaller one when its first event has waited long enough; null at the end, or when the
   * signal aborts. */
  async nextBatch(signal: AbortSignal): Promise<Batch | null> {
    while (await this.waitForWork(signal)) {
      const left = this.#waiting[0]!.since + this.settings.lingerMs - performance.now();
      const hurry = this.closed || this.#hurried > this.#accepted - this.#waiting.length;
      if (this.#full() || hurry || left <= 0) return this.#take();
      await this.arrived.wait({ ms: left });
    }
    return null;
  }

  /** Events have their receipts, in the order of publishing. */
  settle(entries: Entry[], receipts: Receipt[]): void {
    entries.forEach((entry, index) => entry.resolve(receipts[index]!));
    this.#forget(entries);
  }

  /** Waits until everything that was accepted before is settled. */
  async flush(): Promise<void> {
    const target = this.#accepted;
    this.#hurried = target;
    this.arrived.ring();
    while (this.#settled < target && !this.failure) await this.#progress.wait();
    if (this.failure) throw this.failure;
  }

  /** Accepts nothing any more; what waits goes out at once. */
  close(): void {
    this.closed = true;
    this.arrived.ring();
    this.#progress.ring();
  }

  /** Nothing will have a receipt any more. */
  fail(failure: Error, inFlight: Batch[]): void {
    this.failure ??= failure;
    const lost = [...inFlight.flatMap((batch) => batch.entries), ...this.#waiting];
    this.#waiting = [];
    this.#waitingBytes = 0;
    for (const entry of lost) entry.reject(failure);
    this.#forget(lost);
    this.arrived.ring();
  }

  #forget(entries: Entry[]): void {
    for (const entry of entries) this.#heldBytes -= entry.content.length;
    this.#settled += entries.length;
    this.#progress.ring();
  }

  #full(): boolean {
    return this.#waiting.length >= this.settings.batchEvents || this.#waitingBytes >= this.settings.batchBytes;
  }

  #check(): void {
    if (this.failure) throw this.failure;
    if (this.closed) throw new ClosedError('the client is closed');
  }

  #take(): Batch {
    let count = 0;
    let size = 0;
    for (const entry of this.#waiting) {
      const grown = size + entry.content.length;
      if (count === this.settings.batchEvents || (count > 0 && grown > this.settings.batchBytes)) break;
      size = grown;
      count++;
    }
    this.#waitingBytes -= size;
    return { entries: this.#waiting.splice(0, count), sent: 0 };
  }
}
