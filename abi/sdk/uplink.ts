import { call, decodeJson, decodeText, encodeText } from './call.js';

/**
 * Front ends: a capsule that brings people in from a platform. Needs `uplink = true`.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export type UplinkProfile = 'chat' | 'interactive' | 'notify' | 'bridge';

/** Returns the uplink's UUID. Fields are at most 512 bytes; at most 32 per capsule; name and platform unique. */
export function register(name: string, platform: string, profile: UplinkProfile): string {
  return decodeText(call('astrid_uplink_register', encodeText(name), encodeText(platform), encodeText(profile)));
}

/** Hands in what a person on the platform said, at most 1 MiB. False when the queue (128) is full and it was dropped. */
export function send(uplinkId: string, platformUserId: string, content: string): boolean {
  const reply = call('astrid_uplink_send', encodeText(uplinkId), encodeText(platformUserId), encodeText(content));
  return decodeJson<{ ok: boolean }>(reply).ok === true;
}
