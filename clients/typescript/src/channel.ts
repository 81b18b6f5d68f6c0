import { readFileSync } from 'node:fs';

import { credentials, Metadata, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';

import type { Access, Settings } from './settings.js';

const SERVICE_CONFIG = readFileSync(new URL('../service_config.json', import.meta.url), 'utf8');
// A peer that is gone without a word is noticed within 40 s; the server allows a ping every 10 s.
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

export function channelOptions(settings: Settings): ChannelOptions {
  return {
    'grpc.service_config': SERVICE_CONFIG,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.initial_reconnect_backoff_ms': settings.firstBackoffMs,
    'grpc.max_reconnect_backoff_ms': settings.longestBackoffMs,
  };
}

/** Without access the server has to be on this machine. */
export function channelCredentials({ ca, token }: Access): ChannelCredentials {
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
