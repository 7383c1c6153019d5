import { call, decodeJson, encodeJson } from './call.js';

/**
 * Calls every ready capsule but this one that has an interceptor for the topic, waits for all, and gives their answers
 * in the order they came. Those that answered nothing, denied, failed, or answered something other than JSON are left
 * out. No publish permission is needed. At most 1 MiB (`too_large`).
 */
export function trigger(topic: string, payload: unknown = {}): unknown[] {
  return decodeJson<unknown[]>(call('astrid_trigger_hook', encodeJson({ hook: topic, payload })));
}
