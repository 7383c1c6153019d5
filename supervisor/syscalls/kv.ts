import { type CallContext, decodeText, EMPTY, encodeJson, type SyscallHandler } from './handler.js';

/** The store behind the five kv calls; keys live under principal and capsule. */
export interface KvService {
  get(principal: string, capsule: string, key: string): Buffer | null;
  set(principal: string, capsule: string, key: string, value: Uint8Array): Promise<void>;
  delete(principal: string, capsule: string, key: string): Promise<unknown>;
  list(principal: string, capsule: string, prefix: string): Promise<string[]>;
  clearPrefix(principal: string, capsule: string, prefix: string): Promise<number>;
}

interface KeyRequest {
  readonly key: string;
}

const space = ({ actor, capsule }: CallContext) => [actor.principal, capsule] as const;

export function makeKvHandlers(kv: KvService) {
  const get: SyscallHandler<KeyRequest> = {
    // The original reads a key that is not UTF-8 as the empty one, which is then refused (ABI reference 2.4): so is this.
    decode: ([key]) => ({ key: decodeText(key, 'key') }),
    resource: ({ key }) => `kv:${key}`,
    run: ({ key }, context) => kv.get(...space(context), key) ?? EMPTY,
  };
  const set: SyscallHandler<KeyRequest & { readonly value: Buffer }> = {
    decode: ([key, value]) => ({ key: decodeText(key, 'key'), value: value ?? EMPTY }),
    resource: ({ key }) => `kv:${key}`,
    run: async ({ key, value }, context) => {
      await kv.set(...space(context), key, value);
      return EMPTY;
    },
  };
  const remove: SyscallHandler<KeyRequest> = {
    decode: ([key]) => ({ key: decodeText(key, 'key') }),
    resource: ({ key }) => `kv:${key}`,
    run: async ({ key }, context) => {
      await kv.delete(...space(context), key);
      return EMPTY;
    },
  };
  const list: SyscallHandler<{ readonly prefix: string }> = {
    decode: ([prefix]) => ({ prefix: decodeText(prefix, 'prefix') }),
    resource: ({ prefix }) => `kv:${prefix}*`,
    run: async ({ prefix }, context) => encodeJson(await kv.list(...space(context), prefix)),
  };
  const clear: SyscallHandler<{ readonly prefix: string }> = {
    decode: ([prefix]) => ({ prefix: decodeText(prefix, 'prefix') }),
    resource: ({ prefix }) => `kv:${prefix}*`,
    run: async ({ prefix }, context) => encodeJson(await kv.clearPrefix(...space(context), prefix)),
  };
  return {
    astrid_kv_get: get,
    astrid_kv_set: set,
    astrid_kv_delete: remove,
    astrid_kv_list_keys: list,
    astrid_kv_clear_prefix: clear,
  };
}
