/** Publishes a bot's decisions to becas-ft; every event gets a receipt, whatever happens to the server. */
export { Client, type EventInit, type Pending } from './client.js';
export { ClosedError, DeliveryError } from './errors.js';
export { eventId } from './event-id.js';
export type { Access, Settings } from './settings.js';
