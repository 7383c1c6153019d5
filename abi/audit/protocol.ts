import type { AuditEvent } from '../audit-event.js';
import { Fault, type FaultCode, isFaultCode } from '../errno.js';

/**
 * What the supervisor and the auditor say to each other on the auditor's fd 3, in frames of `bus/frame.ts`. Byte strings stay
 * byte strings: an event travels as its canonical bytes (event.ts), so that what is checked, sent and logged is one thing.
 *
 *   {t:'open', checkpoint}          → {t:'opened', …} | {t:'refused', code, message}, once and first
 *   {t:'append', id, epoch, events} → {t:'ack', …} | {t:'nack', id, code, message}
 *   {t:'tail', id, lines}           → {t:'entries', id, entries, last}, one or more, oldest first
 *   {t:'prove', id, index}          → {t:'proof', …} | nack
 *   {t:'consistency', id, from}     → {t:'consistent', …} | nack
 *
 * Epochs keep order through failures. They begin at 0. After a batch has failed, the auditor refuses every append of that epoch,
 * so nothing that was sent behind the failed batch can overtake it; whoever heard the nack goes on in the next epoch.
 *
 * The checks below are by hand because a schema library would double the time in which the auditor starts.
 */
export type LoggedEvent = AuditEvent & { readonly index: number };

export type ToAuditor =
  | { readonly t: 'open'; readonly checkpoint: string | null }
  | { readonly t: 'append'; readonly id: number; readonly epoch: number; readonly events: readonly Buffer[] }
  | { readonly t: 'tail'; readonly id: number; readonly lines: number }
  | { readonly t: 'prove'; readonly id: number; readonly index: number }
  | { readonly t: 'consistency'; readonly id: number; readonly from: number };

export type ToSupervisor =
  | {
      readonly t: 'opened';
      readonly checkpoint: string;
      readonly treeSize: number;
      /** What was cut off the end because it was never acknowledged. */
      readonly recovered: { readonly bytes: number; readonly entries: number };
      /** Consistency proof from the given checkpoint to this one; empty without one. */
      readonly proof: readonly Buffer[];
    }
  | { readonly t: 'refused'; readonly code: FaultCode; readonly message: string }
  | {
      readonly t: 'ack';
      readonly id: number;
      readonly firstIndex: number;
      readonly treeSize: number;
      readonly checkpoint: string;
    }
  | { readonly t: 'nack'; readonly id: number; readonly code: FaultCode; readonly message: string }
  | { readonly t: 'entries'; readonly id: number; readonly entries: readonly LoggedEvent[]; readonly last: boolean }
  | {
      readonly t: 'proof';
      readonly id: number;
      readonly index: number;
      readonly entry: Buffer;
      readonly hashes: readonly Buffer[];
      readonly checkpoint: string;
    }
  | {
      readonly t: 'consistent';
      readonly id: number;
      readonly from: number;
      readonly hashes: readonly Buffer[];
      readonly checkpoint: string;
    };

export type ToAuditorOf<T extends ToAuditor['t']> = Extract<ToAuditor, { t: T }>;
export type ToSupervisorOf<T extends ToSupervisor['t']> = Extract<ToSupervisor, { t: T }>;

export const EVENTS_PER_APPEND_MAX = 1024;
const TAIL_LINES_MAX = 10_000;
const HASHES_MAX = 128;
const CHECKPOINT_CHARS_MAX = 4096;

interface Check {
  readonly expected: string;
  readonly holds: (value: unknown) => boolean;
}

function wholeUpTo(max: number): Check {
  const holds = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= max;
  return { expected: `a whole number from 0 to ${max}`, holds };
}

function listOf(item: Check, min: number, max: number): Check {
  const holds = (value: unknown) =>
    Array.isArray(value) && value.length >= min && value.length <= max && value.every(item.holds);
  return { expected: `a list of ${min} to ${max}, each ${item.expected}`, holds };
}

const whole = wholeUpTo(Number.MAX_SAFE_INTEGER);
const bytes: Check = { expected: 'bytes', holds: (value) => Buffer.isBuffer(value) };
const hashes = listOf(bytes, 0, HASHES_MAX);
const text: Check = { expected: 'a text', holds: (value) => typeof value === 'string' };
const code: Check = { expected: 'an error code', holds: isFaultCode };
const flag: Check = { expected: 'true or false', holds: (value) => typeof value === 'boolean' };
const record: Check = { expected: 'a record', holds: (value) => typeof value === 'object' && value !== null };
const checkpoint: Check = {
  expected: 'a checkpoint',
  holds: (value) => typeof value === 'string' && value.length <= CHECKPOINT_CHARS_MAX,
};
const checkpointOrNull: Check = {
  expected: 'a checkpoint or null',
  holds: (value) => value === null || checkpoint.holds(value),
};
const recovered: Check = {
  expected: 'bytes and entries',
  holds: (value) => record.holds(value) && findWrong(value as Fields, { bytes: whole, entries: whole }) === null,
};

type Fields = Readonly<Record<string, unknown>>;
type Shape = Readonly<Record<string, Check>>;

const TO_AUDITOR: Readonly<Record<ToAuditor['t'], Shape>> = {
  open: { checkpoint: checkpointOrNull },
  append: { id: whole, epoch: whole, events: listOf(bytes, 1, EVENTS_PER_APPEND_MAX) },
  tail: { id: whole, lines: wholeUpTo(TAIL_LINES_MAX) },
  prove: { id: whole, index: whole },
  consistency: { id: whole, from: whole },
};

const TO_SUPERVISOR: Readonly<Record<ToSupervisor['t'], Shape>> = {
  opened: { checkpoint, treeSize: whole, recovered, proof: hashes },
  refused: { code, message: text },
  ack: { id: whole, firstIndex: whole, treeSize: whole, checkpoint },
  nack: { id: whole, code, message: text },
  entries: { id: whole, entries: listOf(record, 0, TAIL_LINES_MAX), last: flag },
  proof: { id: whole, index: whole, entry: bytes, hashes, checkpoint },
  consistent: { id: whole, from: whole, hashes, checkpoint },
};

/** The first field that is missing, unknown or wrong, with what was expected. */
function findWrong(value: Fields, shape: Shape): { field: string; expected: string } | null {
  for (const field of Object.keys(shape)) {
    const check = shape[field] as Check;
    if (!Object.hasOwn(value, field) || !check.holds(value[field])) return { field, expected: check.expected };
  }
  const unknown = Object.keys(value).find((field) => field !== 't' && !Object.hasOwn(shape, field));
  return unknown === undefined ? null : { field: unknown, expected: 'no such field' };
}

function decode(shapes: Readonly<Record<string, Shape>>, value: unknown): Fields {
  const fields = record.holds(value) ? (value as Fields) : {};
  const kind = fields['t'];
  const shape = typeof kind === 'string' && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
  const wrong =
    shape === undefined ? { field: 't', expected: Object.keys(shapes).join(', ') } : findWrong(fields, shape);
  if (wrong === null) return fields;
  const message = `auditor protocol: ${wrong.field}: expected ${wrong.expected}`;
  throw new Fault('bad_protocol', message, { field: wrong.field });
}

/** Throws Fault `bad_protocol` naming the field. */
export function decodeToAuditor(value: unknown): ToAuditor {
  return decode(TO_AUDITOR, value) as unknown as ToAuditor;
}

/** Throws Fault `bad_protocol` naming the field. The fields of `entries` are not looked into. */
export function decodeToSupervisor(value: unknown): ToSupervisor {
  return decode(TO_SUPERVISOR, value) as unknown as ToSupervisor;
}
