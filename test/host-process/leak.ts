import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';

/** Opens a file the way the state database's library does: a child would inherit it. */
export function makeLeak(path: string): { close(): Promise<void> } {
  const { open } = createRequire(import.meta.url)('lmdb') as { open(options: object): { close(): Promise<void> } };
  mkdirSync(`${path}.d`);
  const database = open({ path: `${path}.d/state.db` });
  return { close: () => database.close() };
}
