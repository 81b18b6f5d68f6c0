import { status } from '@grpc/grpc-js';

/** The client is closed; what it says has no receipt has to be published again. */
export class ClosedError extends Error {
  override name = 'ClosedError';
}

/** The server answered in a way that no repetition mends. */
export class DeliveryError extends Error {
  override name = 'DeliveryError';

  constructor(
    readonly code: status,
    details: string,
  ) {
    super(`${status[code]}: ${details}`);
  }
}
