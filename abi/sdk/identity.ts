import { call, decodeJson, encodeJson } from './call.js';
import { SystemError } from './system-error.js';

/**
 * People and their accounts on platforms. Needs `identity`: `resolve` < `link` < `admin`. Platform (trimmed, lower-cased) and user
 * id have at most 512 bytes, are not blank and hold no `/` and no control character. Each principal has an address book of its own:
 * what was made while acting for one is not there for another. Changes are asked of a person unless the session's mode says
 * otherwise; `approval_queued` means that the next try after an answer goes through. Refusals come as SystemError like those of any
 * other call: `invalid_argument`, `too_large`, and what is named below. Not available during install and upgrade. Since 0.2.0.
 */
export interface Account {
  readonly platform: string;
  readonly platformUserId: string;
}

export interface ResolvedUser {
  readonly userId: string;
  readonly displayName: string | undefined;
}

export interface IdentityLink extends Account {
  readonly userId: string;
  /** RFC 3339. */
  readonly linkedAt: string;
  readonly method: string;
}

interface RawLink {
  readonly platform: string;
  readonly platform_user_id: string;
  readonly astrid_user_id: string;
  readonly linked_at: string;
  readonly method: string;
}

interface RawReply {
  readonly found?: boolean;
  readonly error?: string;
  readonly code?: string;
  readonly user_id?: string;
  readonly display_name?: string;
  readonly removed?: boolean;
  readonly link?: RawLink;
  readonly links?: RawLink[];
}

const account = (who: Account) => ({ platform: who.platform, platform_user_id: who.platformUserId });

const shapeLink = (raw: RawLink): IdentityLink => ({
  platform: raw.platform,
  platformUserId: raw.platform_user_id,
  userId: raw.astrid_user_id,
  linkedAt: raw.linked_at,
  method: raw.method,
});

/** These calls report refusals inside their JSON; a caller should not have to look in two places. */
function decodeReply(bytes: Uint8Array): RawReply {
  const reply = decodeJson<RawReply>(bytes);
  if (reply.error !== undefined) throw new SystemError(reply.code ?? 'invalid_argument', reply.error);
  return reply;
}

function required<T>(value: T | undefined, field: string): T {
  if (value === undefined) throw new SystemError('bad_frame', `the kernel's answer lacks ${field}`);
  return value;
}

/** The person behind an account, or undefined. Needs `resolve`. */
export function resolve(who: Account): ResolvedUser | undefined {
  const reply = decodeReply(call('astrid_identity_resolve', encodeJson(account(who))));
  if (reply.found !== true) return undefined;
  return { userId: required(reply.user_id, 'user_id'), displayName: reply.display_name };
}

/**
 * Binds an account to a person (UUID text): whoever writes from it then speaks for that person. Needs `link`.
 * @throws SystemError `not_found` (no such person), `already_exists` (linked to another person: unlink first), `quota_exceeded`
 * (64 accounts a person).
 */
export function link(who: Account, userId: string, method: string): IdentityLink {
  const body = { ...account(who), astrid_user_id: userId, method };
  return shapeLink(required(decodeReply(call('astrid_identity_link', encodeJson(body))).link, 'link'));
}

/** False when there was no such link. Needs `link`. */
export function unlink(who: Account): boolean {
  return decodeReply(call('astrid_identity_unlink', encodeJson(account(who)))).removed === true;
}

/**
 * Returns the new person's UUID. The person gets a principal of their own, named after the display name, with a number where that
 * name is taken. Needs `admin`.
 * @throws SystemError `quota_exceeded` (1000 people).
 */
export function createUser(displayName?: string): string {
  const body = displayName === undefined ? {} : { display_name: displayName };
  return required(decodeReply(call('astrid_identity_create_user', encodeJson(body))).user_id, 'user_id');
}

/** The person's accounts, in the order of linking. Needs `link`. */
export function listLinks(userId: string): IdentityLink[] {
  const body = { astrid_user_id: userId };
  return (decodeReply(call('astrid_identity_list_links', encodeJson(body))).links ?? []).map(shapeLink);
}
