import { z } from 'zod';
import type { AuditEvent } from '../audit-event.js';
import { FAULT_CODES, Fault } from '../errno.js';

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
 */
export type LoggedEvent = AuditEvent & { readonly index: number };

const bytes = z.custom<Buffer>((value) => Buffer.isBuffer(value), 'expected bytes');
const hashes = z.array(bytes).max(128);
const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const checkpoint = z.string().max(4096);
const code = z.enum(FAULT_CODES);
const message = z.string();
const id = whole;

export const EVENTS_PER_APPEND_MAX = 1024;
export const TAIL_LINES_MAX = 10_000;

const toAuditor = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('open'), checkpoint: checkpoint.nullable() }),
  z.strictObject({ t: z.literal('append'), id, epoch: whole, events: z.array(bytes).min(1).max(EVENTS_PER_APPEND_MAX) }),
  z.strictObject({ t: z.literal('tail'), id, lines: whole.max(TAIL_LINES_MAX) }),
  z.strictObject({ t: z.literal('prove'), id, index: whole }),
  z.strictObject({ t: z.literal('consistency'), id, from: whole }),
]);

const toSupervisor = z.discriminatedUnion('t', [
  z.strictObject({
    t: z.literal('opened'),
    checkpoint,
    treeSize: whole,
    /** What was cut off the end because it was never acknowledged. */
    recovered: z.strictObject({ bytes: whole, entries: whole }),
    /** Consistency proof from the given checkpoint to this one; empty without one. */
    proof: hashes,
  }),
  z.strictObject({ t: z.literal('refused'), code, message }),
  z.strictObject({ t: z.literal('ack'), id, firstIndex: whole, treeSize: whole, checkpoint }),
  z.strictObject({ t: z.literal('nack'), id, code, message }),
  z.strictObject({ t: z.literal('entries'), id, entries: z.array(z.unknown()), last: z.boolean() }),
  z.strictObject({ t: z.literal('proof'), id, index: whole, entry: bytes, hashes, checkpoint }),
  z.strictObject({ t: z.literal('consistent'), id, from: whole, hashes, checkpoint }),
]);

export type ToAuditor = z.output<typeof toAuditor>;
export type ToSupervisor = z.output<typeof toSupervisor>;
export type ToAuditorOf<T extends ToAuditor['t']> = Extract<ToAuditor, { t: T }>;
export type ToSupervisorOf<T extends ToSupervisor['t']> = Extract<ToSupervisor, { t: T }>;

function decode<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join('.') ?? '';
  throw new Fault('bad_protocol', `auditor protocol: ${field}: ${issue?.message ?? 'not understood'}`, { field });
}

/** Throws Fault `bad_protocol` naming the field. */
export function decodeToAuditor(value: unknown): ToAuditor {
  return decode(toAuditor, value);
}

/** Throws Fault `bad_protocol` naming the field. */
export function decodeToSupervisor(value: unknown): ToSupervisor {
  return decode(toSupervisor, value);
}
