import { move, transferableSymbol, valueSymbol } from 'piscina';
import { parseNoteKey } from '../../abi/audit/note.js';
import { listSegments } from '../../abi/audit/segment-files.js';
import { type VerifyReport, verifyLog } from '../../abi/audit/verify.js';
import { blake3Hex } from '../../abi/blake3.js';
import { asFault, type FaultCode } from '../../abi/errno.js';
import { inspectModule as inspect, type ModuleReport } from '../../abi/wasm/inspect.js';

/** A result and the bytes it was made from, which go back to their owner without a copy. */
export interface Returned<T> {
  readonly value: T;
  readonly bytes: ArrayBuffer;
}

export interface AuditRequest {
  /** Directory with the segments. */
  readonly directory: string;
  /** The pinned key as one verifier key line (`name+id+key`); a key from beside the log proves nothing. */
  readonly key: string;
  /** The latest checkpoint that is kept elsewhere: a log that lacks a part of it is cut or forked. */
  readonly knownCheckpoint: string | null;
}

/** What each task takes and makes; the names are those of the functions below. */
export interface TaskTable {
  hashBlake3: { input: ArrayBuffer; output: Returned<string> };
  inspectModule: { input: ArrayBuffer; output: Returned<ModuleReport> };
  verifyAudit: { input: AuditRequest; output: VerifyReport };
}
export type TaskName = keyof TaskTable;

/**
 * What a thread answers. An error that is thrown across threads loses its class and its fields, so a task never
 * throws: a Fault travels as data and becomes a Fault again on the other side.
 */
export type TaskReply<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: FaultCode; readonly message: string; readonly field: string | undefined };

/** BLAKE3 in lowercase hex. */
export function hashBlake3(bytes: ArrayBuffer): Promise<unknown> {
  return replyWithBytes(bytes, blake3Hex);
}

export function inspectModule(bytes: ArrayBuffer): Promise<unknown> {
  return replyWithBytes(bytes, inspect);
}

export async function verifyAudit(request: AuditRequest): Promise<TaskReply<VerifyReport>> {
  const { directory, key, knownCheckpoint } = request;
  try {
    const segments = await listSegments({ path: directory, label: 'the audit log' });
    const known = knownCheckpoint === null ? {} : { known: knownCheckpoint };
    return { ok: true, value: await verifyLog(segments, { key: parseNoteKey(key), ...known }) };
  } catch (thrown) {
    return faultReply(thrown);
  }
}

async function replyWithBytes<T>(bytes: ArrayBuffer, work: (view: Uint8Array) => T | Promise<T>): Promise<unknown> {
  try {
    const answer: TaskReply<Returned<T>> = { ok: true, value: { value: await work(new Uint8Array(bytes)), bytes } };
    return move({ [transferableSymbol]: [bytes], [valueSymbol]: answer });
  } catch (thrown) {
    return faultReply(thrown);
  }
}

function faultReply(thrown: unknown): TaskReply<never> {
  const { code, message, field } = asFault(thrown);
  return { ok: false, code, message, field };
}
