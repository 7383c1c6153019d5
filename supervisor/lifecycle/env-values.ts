import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import type { EnvRow } from '../../abi/manifest.js';

/** Where a value came from; `unset` is the empty text to the guest. */
export type EnvSource = 'value' | 'default' | 'unset';

export interface ResolvedEnv {
  readonly text: string;
  readonly source: EnvSource;
}

/**
 * One row of `[env]` (ABI reference 2.8): the stored value, else unset when there is a choice to make, else the manifest's
 * default, else unset. A stored value that is none of the choices counts as none. Secrets resolve to nothing: no call gives out a
 * secret's value.
 */
export function resolveEnv(row: EnvRow, stored: string | null): ResolvedEnv {
  if (row.type === 'secret') return UNSET;
  const isChoice = row.enumValues.length > 1;
  if (stored !== null && (!isChoice || row.enumValues.includes(stored))) return { text: stored, source: 'value' };
  if (isChoice || row.default === null) return UNSET;
  return { text: typeof row.default === 'string' ? row.default : JSON.stringify(row.default), source: 'default' };
}

const UNSET: ResolvedEnv = { text: '', source: 'unset' };

/** A value as an operator gives it, as it is stored. Lists may be JSON or separated by commas. @throws Fault naming the row */
export function checkEnvValue(row: EnvRow, text: string): string {
  if (row.type === 'secret') {
    const message = `${row.name}: is a secret; give it with: astrid capsule secret NAME ${row.name}`;
    throw new Fault('invalid_argument', message, { field: row.name });
  }
  if (Buffer.byteLength(text) > LIMITS.envValueBytesMax)
    throw new Fault('too_large', `${row.name}: at most ${LIMITS.envValueBytesMax} bytes`, { field: row.name });
  if (row.enumValues.length > 1 && !row.enumValues.includes(text)) {
    const message = `${row.name}: expected one of ${row.enumValues.map((value) => JSON.stringify(value)).join(', ')}`;
    throw new Fault('invalid_argument', message, { field: row.name });
  }
  return row.type === 'array' ? JSON.stringify(readList(row.name, text)) : text;
}

function readList(name: string, text: string): string[] {
  if (!text.trimStart().startsWith('[')) return text === '' ? [] : text.split(',').map((item) => item.trim());
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.every((item) => typeof item === 'string')) return list;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Fault('invalid_argument', `${name}: expected a JSON list of texts, or texts separated by commas`, {
    field: name,
  });
}

/** A row as a field of `onboarding_required` (ABI reference 4.3). */
export function describeField(row: EnvRow) {
  const choice = row.enumValues.length > 1 ? { Enum: row.enumValues } : null;
  const plain = row.type === 'array' ? 'Array' : 'Text';
  // A single choice only pre-fills the prompt (ABI reference 6.1).
  const prefill = row.default ?? (row.enumValues.length === 1 ? (row.enumValues[0] ?? null) : null);
  return {
    key: row.name,
    prompt: row.request ?? row.description ?? row.name,
    ...(row.description === null ? {} : { description: row.description }),
    field_type: row.type === 'secret' ? 'Secret' : (choice ?? plain),
    ...(prefill === null || row.type === 'secret'
      ? {}
      : { default: typeof prefill === 'string' ? prefill : JSON.stringify(prefill) }),
    ...(row.placeholder === null ? {} : { placeholder: row.placeholder }),
  };
}
