import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { FileSecretStore } from '../../supervisor/secrets/file-store.js';

export const MAIL = { principal: 'default', capsule: 'mail' };
export const OTHER = { principal: 'default', capsule: 'other' };

export interface StoreBench {
  readonly home: string;
  readonly key: string;
  readonly store: FileSecretStore;
  fileOf(capsule: string): string;
  /** Another store over the same files. */
  again(): FileSecretStore;
}

export function openSecretBench(t: Test): StoreBench {
  const home = mkdtempSync(join(tmpdir(), 'astrid-'));
  t.teardown(() => rmSync(home, { recursive: true }));
  for (const name of ['keys', 'var']) mkdirSync(join(home, name), { mode: 0o700 });
  const key = join(home, 'keys/secrets.key');
  return {
    home,
    key,
    store: new FileSecretStore(home, key),
    fileOf: (capsule) => join(home, `var/secrets/default/${capsule}.secrets`),
    again: () => new FileSecretStore(home, key),
  };
}
