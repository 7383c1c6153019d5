import { call, decodeJson, encodeJson } from './call.js';

/**
 * Whether the capsule that sent a message holds a capability (`source_id` of the message). The kernel answers for
 * `allow_prompt_injection` alone; anything else, and an unknown sender, is false.
 * Not served by version 0.1: a capsule that uses this does not load there.
 */
export function hasCapability(sourceId: string, capability: string): boolean {
  const body = { source_uuid: sourceId, capability };
  return decodeJson<{ allowed: boolean }>(call('astrid_check_capsule_capability', encodeJson(body))).allowed === true;
}
