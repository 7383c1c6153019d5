/**
 * Readers for the fields of payload variants (ABI reference 4.3, 5.1, 5.2). A reader gives the value in its normal
 * form, with unknown members left out as the original's parser does, or MISMATCH. Plain functions and not a schema
 * library: every published message passes here, and most are refused or accepted by their first field.
 */
const MISMATCH: unique symbol = Symbol('mismatch');

export type Reader = (value: unknown) => unknown;

export interface FieldRow {
  readonly read: Reader;
  /** `required`; `optional`: null or absent is left out; `nullable`: null or absent becomes null; else the default. */
  readonly presence: 'required' | 'optional' | 'nullable' | { readonly absent: unknown };
}

/** No field may be called like a member of Object.prototype: it would seem present in every object. */
export type Shape = Readonly<Record<string, FieldRow>>;

export function required(read: Reader): FieldRow {
  return { read, presence: 'required' };
}

export function optional(read: Reader): FieldRow {
  return { read, presence: 'optional' };
}

export function nullable(read: Reader): FieldRow {
  return { read, presence: 'nullable' };
}

export function withDefault(read: Reader, absent: unknown): FieldRow {
  return { read, presence: { absent } };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Copies the fields of `shape` from `from` to `to`; false when one does not fit. */
export function readFields(shape: Shape, from: Record<string, unknown>, to: Record<string, unknown>): boolean {
  for (const name in shape) {
    const { read, presence } = shape[name] as FieldRow;
    const value = from[name];
    if (value === undefined || (value === null && (presence === 'optional' || presence === 'nullable'))) {
      if (presence === 'required') return false;
      if (presence === 'nullable') to[name] = null;
      else if (presence !== 'optional') to[name] = presence.absent;
      continue;
    }
    const result = read(value);
    if (result === MISMATCH) return false;
    to[name] = result;
  }
  return true;
}

export const text: Reader = (value) => (typeof value === 'string' ? value : MISMATCH);
export const flag: Reader = (value) => (typeof value === 'boolean' ? value : MISMATCH);
export const json: Reader = (value) => value;

/** An unsigned integer; larger than a JavaScript number holds exactly is not one. */
export const count: Reader = (value) => (Number.isSafeInteger(value) && (value as number) >= 0 ? value : MISMATCH);

const CANONICAL_UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UUID = /^([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i;

/** With or without hyphens, any case; comes out hyphenated in lower case. */
export const uuid: Reader = (value) => {
  if (typeof value !== 'string' || value.length > 36) return MISMATCH;
  if (CANONICAL_UUID.test(value)) return value;
  const parts = UUID.exec(value);
  return parts === null ? MISMATCH : parts.slice(1).join('-').toLowerCase();
};

export function oneOf(...names: readonly string[]): Reader {
  return (value) => (typeof value === 'string' && names.includes(value) ? value : MISMATCH);
}

export function list(read: Reader): Reader {
  return (value) => {
    if (!Array.isArray(value)) return MISMATCH;
    const result: unknown[] = [];
    for (const element of value) {
      const one = read(element);
      if (one === MISMATCH) return MISMATCH;
      result.push(one);
    }
    return result;
  };
}

export function record(shape: Shape): Reader {
  return (value) => {
    const result = {};
    return isRecord(value) && readFields(shape, value, result) ? result : MISMATCH;
  };
}

/** The first reader that fits, in the order given: serde's untagged enumeration. */
export function anyOf(...readers: readonly Reader[]): Reader {
  return (value) => {
    for (const read of readers) {
      const result = read(value);
      if (result !== MISMATCH) return result;
    }
    return MISMATCH;
  };
}

/** `{"Name": content}` with one of these names: serde's external tagging. */
export function tagged(variants: Readonly<Record<string, Reader>>): Reader {
  return (value) => {
    if (!isRecord(value)) return MISMATCH;
    const names = Object.keys(value);
    const name = names[0];
    if (names.length !== 1 || name === undefined || !Object.hasOwn(variants, name)) return MISMATCH;
    const content = (variants[name] as Reader)(value[name]);
    return content === MISMATCH ? MISMATCH : { [name]: content };
  };
}

/** A record whose member `tag` names its variant: serde's internal tagging. */
export function tagBy(tag: string, variants: Readonly<Record<string, Shape>>): Reader {
  return (value) => {
    if (!isRecord(value) || !Object.hasOwn(value, tag)) return MISMATCH;
    const name = value[tag];
    if (typeof name !== 'string' || !Object.hasOwn(variants, name)) return MISMATCH;
    const result = { [tag]: name };
    return readFields(variants[name] as Shape, value, result) ? result : MISMATCH;
  };
}
