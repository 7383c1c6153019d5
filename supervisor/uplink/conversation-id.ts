import { createHash } from 'node:crypto';

/** The longest account, `platform/user id`, that fits an id of 64 characters as base64url. */
const READABLE_BYTES_MAX = 42;

/**
 * The conversation of one person on one platform, as the `session_id` of prompts and answers: 1 to 64 of A-Z a-z 0-9 _ -. It is made
 * from the account, so that a bridge can tell from an answer whom it is for (`accountOf` in the SDK) without keeping a table. A long
 * account is hashed.
 */
export function conversationOf(platform: string, platformUserId: string): string {
  const account = Buffer.from(`${platform}/${platformUserId}`);
  if (account.length <= READABLE_BYTES_MAX) return `uplink-${account.toString('base64url')}`;
  return `uplink_${createHash('sha256').update(account).digest('base64url')}`;
}
