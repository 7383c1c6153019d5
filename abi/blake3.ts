import { createBLAKE3 } from 'hash-wasm';

let hasher: ReturnType<typeof createBLAKE3> | null = null;

/**
 * BLAKE3 in lowercase hex, for what is hashed whole and may be megabytes: modules and the files that builds are made of. This
 * one is WebAssembly and takes 5 ms for a module of 1 MiB, where `@noble/hashes`, which hashes the small records of the log,
 * takes 85. Published test vectors hold for both.
 */
export async function blake3Hex(bytes: Uint8Array): Promise<string> {
  hasher ??= createBLAKE3();
  const state = await hasher;
  // One state serves all: nothing runs between these three.
  return state.init().update(bytes).digest('hex');
}
