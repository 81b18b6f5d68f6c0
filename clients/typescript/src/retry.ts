import { status, type StatusObject } from '@grpc/grpc-js';

import { RetryInfo } from './generated/google/rpc/error_details.js';
import { Status } from './generated/google/rpc/status.js';
import type { Settings } from './settings.js';

const RETRY_INFO = 'type.googleapis.com/google.rpc.RetryInfo';

// The server is away, busy, or gave the stream up; an event id counts once, so that repeating is safe.
const AGAIN = new Set([status.UNAVAILABLE, status.RESOURCE_EXHAUSTED, status.DEADLINE_EXCEEDED, status.CANCELLED]);

/** Whether it helps to send again. */
export function again(code: status): boolean {
  return AGAIN.has(code);
}

/** Pauses that double from failure to failure; the server may ask for longer ones. */
export class Backoff {
  #next: number;

  constructor(private readonly settings: Settings) {
    this.#next = settings.firstBackoffMs;
  }

  /** The server answered. */
  reset(): void {
    this.#next = this.settings.firstBackoffMs;
  }

  /** Milliseconds until the next attempt, after a stream ended; null where it ended well and too early. */
  pause(ended: StatusObject | null): number {
    const own = this.#next;
    this.#next = Math.min(2 * own, this.settings.longestBackoffMs);
    // Never earlier than asked, and bots that lost the same server do not all come back at once.
    return Math.max(own, ended ? askedMs(ended) : 0) * (1 + 0.2 * Math.random());
  }
}

/** The delay of the status's RetryInfo; 0 where it has none. */
function askedMs(ended: StatusObject): number {
  for (const encoded of ended.metadata.get('grpc-status-details-bin')) {
    for (const detail of Status.decode(encoded as Buffer).details) {
      if (detail.typeUrl === RETRY_INFO) {
        const { retryDelay } = RetryInfo.decode(detail.value);
        return (retryDelay?.seconds ?? 0) * 1000 + (retryDelay?.nanos ?? 0) / 1e6;
      }
    }
  }
  return 0;
}
