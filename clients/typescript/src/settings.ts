const MIB = 1024 * 1024;

/** How a server beyond this machine is called. */
export interface Access {
  /** The authority to trust, PEM; the system's where there is none. */
  ca?: Buffer;
  /** The bot's; it travels by TLS only. */
  token?: string;
}

/** Sizes and times; the defaults suit a bot. */
export interface Settings {
  /** Events that go in one message, at most. */
  batchEvents: number;
  /** Their bytes, at most; a larger event is refused. The server takes 4 MiB by default. */
  batchBytes: number;
  /** How long an event waits for others. */
  lingerMs: number;
  /** Bytes of events without a receipt; when it is full, `publish` waits. */
  bufferBytes: number;
  /** How long a batch waits for its receipts before it is sent over another stream. */
  answerMs: number;
  /** The pause after a first failure; it doubles with each, and the server may ask for more. */
  firstBackoffMs: number;
  /** The longest pause that the client takes by itself. */
  longestBackoffMs: number;
  /** How long `close` waits for the last receipts. */
  closeMs: number;
}

export const DEFAULTS: Settings = {
  batchEvents: 500,
  batchBytes: MIB,
  lingerMs: 200,
  bufferBytes: 16 * MIB,
  answerMs: 60_000,
  firstBackoffMs: 200,
  longestBackoffMs: 5_000,
  closeMs: 30_000,
};
