export const MAX_EVENT_ID_BYTES = 256;

/**
 * The id of a decision: the same happening always has the same one, so that it counts once.
 *
 * @param kind what was decided, as the event is named: `scam.detected`
 * @param about what it was decided about: the message's id; where one thing is decided about again, also when
 */
export function eventId(kind: string, ...about: string[]): string {
  if (about.length === 0 || [kind, ...about].includes('')) {
    throw new RangeError(`eventId of '${kind}': name what it is about, such as a message's id; empty parts tell nothing`);
  }
  const made = [kind, ...about].join(':');
  const size = Buffer.byteLength(made);
  if (size > MAX_EVENT_ID_BYTES) {
    throw new RangeError(`eventId of '${kind}': ${size} bytes, at most ${MAX_EVENT_ID_BYTES}: use ids, not texts`);
  }
  return made;
}
