import { call, decodeJson, encodeJson } from './call.js';

/**
 * Whether the capsule that sent a message holds a capability (`source_id` of the message). The kernel answers for
 * `allow_prompt_injection` alone; anything else, an unknown sender, and one whose instance has ended are false. Needs nothing. Since 0.2.0.
 * @throws SystemError `invalid_argument`, `too_large` (more than 1 KiB in all).
 */
export function hasCapability(sourceId: string, capability: string): boolean {
  const body = { source_uuid: sourceId, capability };
  return decodeJson<{ allowed: boolean }>(call('astrid_check_capsule_capability', encodeJson(body))).allowed === true;
}
