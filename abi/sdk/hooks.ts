import { call, decodeJson, encodeJson } from './call.js';

/**
 * Calls every ready capsule but this one that has an interceptor for the topic, waits for all, and gives their answers
 * in the order they came. Those that answered nothing, denied, failed, or answered something other than JSON are left
 * out. At most 1 MiB.
 *
 * A hook takes the same leave as a message: its topic stands in `[publish]`. Only one whose topic ends in `.describe` is open to
 * all; who may not publish on it reaches only interceptors whose `event` ends in `.describe`, too.
 * @throws SystemError `capability_missing`, `conflict` (it would wait for a capsule that waits for this one), `invalid_argument`
 * (no topic), `too_large`.
 */
export function trigger(topic: string, payload: unknown = {}): unknown[] {
  return decodeJson<unknown[]>(call('astrid_trigger_hook', encodeJson({ hook: topic, payload })));
}
