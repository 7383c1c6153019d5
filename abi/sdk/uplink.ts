import { call, decodeJson, decodeText, encodeText } from './call.js';
import { decodeUtf8Strict } from './utf8.js';

/**
 * Front ends: a capsule that brings people in from a platform. Needs `uplink = true` or an `[[uplink]]` section; `send` needs
 * the section. Since 0.2.0.
 *
 * What a person says is published by the kernel. Somebody whose account is linked (see `identity`) speaks for their own
 * principal: `user.v1.prompt`, a `user_input` whose `session_id` the kernel makes from the account. The agent's answer comes on
 * `agent.v1.response` with that `session_id`, and `accountOf` tells whom it is for. Somebody whom nobody linked starts no turn:
 * their words go out on `astrid.v1.uplink.unlinked` (`uplink_id`, `name`, `platform`, `profile`, `platform_user_id`, `content`).
 */
export type UplinkProfile = 'chat' | 'interactive' | 'notify' | 'bridge';

/**
 * Returns the uplink's UUID, which is good for this instance: register again after a restart. Fields are at most 512 bytes; the
 * platform is trimmed and lower-cased.
 * @throws SystemError `invalid_argument`, `already_exists` (name and platform), `quota_exceeded` (32 per capsule),
 * `capability_missing`.
 */
export function register(name: string, platform: string, profile: UplinkProfile): string {
  return decodeText(call('astrid_uplink_register', encodeText(name), encodeText(platform), encodeText(profile)));
}

/**
 * Hands in what a person on the platform said, at most 1 MiB. False when it was dropped: 128 messages of the uplink, or 8 MiB of
 * the capsule, wait already, or more than 10 MiB came in this second.
 * @throws SystemError `invalid_argument`, `too_large`, `bad_handle` (not registered by this instance), `not_supported` (no
 * `[[uplink]]`), `capability_missing`.
 */
export function send(uplinkId: string, platformUserId: string, content: string): boolean {
  const reply = call('astrid_uplink_send', encodeText(uplinkId), encodeText(platformUserId), encodeText(content));
  return decodeJson<{ ok: boolean }>(reply).ok === true;
}

const PREFIX = 'uplink-';
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/**
 * The account whose conversation has this `session_id`, or undefined for the conversations of others and for accounts of more than
 * 42 bytes (platform, `/` and user id together), whose id is a hash.
 */
export function accountOf(sessionId: string): { platform: string; platformUserId: string } | undefined {
  if (!sessionId.startsWith(PREFIX)) return undefined;
  const bytes = decodeBase64Url(sessionId.slice(PREFIX.length));
  const account = bytes === undefined ? undefined : decodeUtf8Strict(bytes);
  const slash = account?.indexOf('/') ?? -1;
  if (account === undefined || slash < 0) return undefined;
  return { platform: account.slice(0, slash), platformUserId: account.slice(slash + 1) };
}

function decodeBase64Url(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of text) {
    const value = DIGITS.indexOf(digit);
    if (value < 0) return undefined;
    bits = ((bits << 6) | value) & 0xfff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[at++] = (bits >> held) & 0xff;
  }
  return bytes;
}
