import { constants, readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checkpoint, openCheckpoint } from '../../abi/audit/checkpoint.js';
import { decodeEntry, hashEntry } from '../../abi/audit/entry.js';
import { CompactTree, hashLeaf, readPeaks } from '../../abi/audit/merkle.js';
import {
  findCheckpoints,
  RECORD,
  RECORD_HEADER_BYTES,
  SegmentReader,
  type SegmentRecord,
} from '../../abi/audit/segment.js';
import { decodeSegmentHead, parseSegmentName, type SegmentHead } from '../../abi/audit/segment-head.js';
import { createVerifier, type Verifier } from '../../abi/audit/signing.js';
import { asFault, Fault } from '../../abi/errno.js';
import type { LogKey } from './key-file.js';
import type { TreeFile } from './tree-file.js';

/** The end of the log as it is on disk, read and not yet changed. */
export interface LogEnd {
  readonly name: string;
  readonly head: SegmentHead;
  readonly checkpoint: Checkpoint;
  readonly checkpointText: string;
  /** Bytes up to and including the last checkpoint's record. */
  readonly keptBytes: number;
  readonly leaves: readonly Buffer[];
  /** Canonical bytes of the last entry of each principal in this segment, and of all. */
  readonly lastOf: ReadonlyMap<string, Buffer>;
  readonly lastEntry: Buffer;
}

export interface RecoveryPlan {
  /** Null: no entry was ever acknowledged. */
  readonly end: LogEnd | null;
  /** A segment without any acknowledged entry, to be removed. */
  readonly unborn: string | null;
  /** What will be cut. */
  readonly recovered: { readonly bytes: number; readonly entries: number };
}

interface Scan {
  readonly end: LogEnd | null;
  readonly cutBytes: number;
  readonly cutEntries: number;
}

function damaged(name: string, why: string, cause?: unknown): Fault {
  return new Fault('bad_log', `${name}: ${why}; run: astrid audit verify`, { field: name, cause });
}

/** Names of the segments, oldest first. */
export function listSegments(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => parseSegmentName(name) !== null)
    .sort();
}

/** One segment's bytes. A segment is a bounded file: rotation sees to that. A symlink in its place is refused. */
export async function readSegment(directory: string, name: string): Promise<Buffer> {
  const handle = await open(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/**
 * Finds the last checkpoint and what lies behind it, which was never acknowledged and may be cut. Changes nothing. Throws
 * Fault `bad_log` if acknowledged entries are damaged: those are evidence, and are never cut.
 */
export async function planRecovery(directory: string, log: LogKey): Promise<RecoveryPlan> {
  const verify = createVerifier(log.key.publicKey);
  const names = listSegments(directory);
  const last = names.at(-1);
  if (last === undefined) return { end: null, unborn: null, recovered: { bytes: 0, entries: 0 } };
  const scan = scanSegment(last, await readSegment(directory, last), log, verify);
  const recovered = { bytes: scan.cutBytes, entries: scan.cutEntries };
  if (scan.end !== null) return { end: scan.end, unborn: null, recovered };
  // The newest segment was begun and its first batch never finished.
  const before = names.at(-2);
  if (before === undefined) return { end: null, unborn: last, recovered };
  const full = scanSegment(before, await readSegment(directory, before), log, verify);
  if (full.end === null || full.cutBytes > 0) throw damaged(before, 'a closed segment does not end with a checkpoint');
  return { end: full.end, unborn: last, recovered };
}

function scanSegment(name: string, bytes: Buffer, log: LogKey, verify: Verifier): Scan {
  const reader = new SegmentReader();
  const records = reader.push(bytes);
  const lastAt = records.findLastIndex((record) => record.type === RECORD.checkpoint);
  const kept = records.slice(0, lastAt + 1);
  const last = kept.at(-1);
  const signed = last === undefined ? null : openOwn(name, last.payload, log, verify);
  if (reader.fault !== null) refuseDamage(name, bytes.subarray(reader.offset), signed?.size ?? 0, log, verify);
  const keptBytes = last === undefined ? 0 : last.offset + RECORD_HEADER_BYTES + last.payload.length;
  const cutEntries = records.slice(kept.length).filter((record) => record.type === RECORD.entry).length;
  const cut = { cutBytes: bytes.length - keptBytes, cutEntries };
  if (last === undefined || signed === null) return { end: null, ...cut };
  const checkpointText = last.payload.toString('utf8');
  return {
    end: { name, ...readEntries(name, kept, signed, log), checkpoint: signed, checkpointText, keptBytes },
    ...cut,
  };
}

/** What the entries up to the last checkpoint say. Their links are not checked: the root that is compared later binds every byte. */
function readEntries(name: string, records: readonly SegmentRecord[], signed: Checkpoint, log: LogKey) {
  const [first, ...rest] = records;
  if (first?.type !== RECORD.segment) throw damaged(name, 'it does not begin with its head');
  const head = decodeSegmentHead(first.payload);
  const leaves: Buffer[] = [];
  const lastOf = new Map<string, Buffer>();
  let lastEntry: Buffer | null = null;
  for (const record of rest) {
    if (record.type !== RECORD.entry) continue;
    const entry = decodeEntry(record.payload);
    if (entry.index !== head.firstIndex + leaves.length) throw damaged(name, `entry ${entry.index} is out of place`);
    lastEntry = record.payload;
    lastOf.set(entry.event.principal, lastEntry);
    leaves.push(hashLeaf(lastEntry));
  }
  const complete = signed.size === head.firstIndex + leaves.length && head.origin === log.key.name;
  if (lastEntry === null || !complete) throw damaged(name, 'its last checkpoint is not that of its entries');
  return { head, leaves, lastOf, lastEntry };
}

function openOwn(name: string, payload: Buffer, log: LogKey, verify: Verifier): Checkpoint {
  try {
    return openCheckpoint(payload.toString('utf8'), log.key, verify);
  } catch (thrown) {
    throw damaged(name, `its last checkpoint: ${asFault(thrown).message}`, thrown);
  }
}

/**
 * A bad record: torn, or damaged? Only one batch at a time is unsynced, so behind a torn write stands at most one later checkpoint.
 * Two or more mean that something was acknowledged behind the bad place.
 */
function refuseDamage(name: string, rest: Buffer, provenSize: number, log: LogKey, verify: Verifier): void {
  const later = new Set<number>();
  for (const record of findCheckpoints(rest)) {
    try {
      const { size } = openCheckpoint(record.payload.toString('utf8'), log.key, verify);
      if (size > provenSize) later.add(size);
    } catch {
      // Bytes that only look like a checkpoint: an entry may hold such text.
    }
    if (later.size > 1) throw damaged(name, 'entries that were acknowledged are damaged');
  }
}

/**
 * The tree at the end of the log, with the hash file brought in line with it. Believes the hash file for what is before the last
 * segment, as far as the signed root agrees. Null if it does not.
 */
export function recoverTree(end: LogEnd, file: TreeFile): CompactTree | null {
  const before = end.head.firstIndex;
  let peaks: Buffer[];
  try {
    peaks = readPeaks(file.source, before);
  } catch {
    // Too short: a crash came before its bytes reached the disk. The caller makes it anew.
    return null;
  }
  const tree = new CompactTree(before, peaks);
  const nodes = growTree(tree, end.leaves);
  if (!tree.root().equals(end.checkpoint.root)) return null;
  file.settle(before, nodes);
  return tree;
}

/** As `recoverTree`, from all segments. Throws Fault `bad_log` if the entries do not have the signed root. */
export async function rebuildTree(directory: string, end: LogEnd, file: TreeFile): Promise<CompactTree> {
  const tree = new CompactTree();
  for (const name of listSegments(directory)) {
    if ((parseSegmentName(name) ?? 0) >= end.head.firstIndex) break;
    const records = new SegmentReader().push(await readSegment(directory, name));
    const entries = records.filter((record) => record.type === RECORD.entry);
    const size = tree.size;
    const leaves = entries.map((record) => hashLeaf(record.payload));
    file.append(size, growTree(tree, leaves));
  }
  const before = tree.size;
  const nodes = growTree(tree, end.leaves);
  if (before !== end.head.firstIndex || !tree.root().equals(end.checkpoint.root)) {
    throw damaged(end.name, 'the entries do not have the root that was signed');
  }
  file.settle(before, nodes);
  return tree;
}

function growTree(tree: CompactTree, leaves: readonly Buffer[]): Buffer[] {
  const nodes: Buffer[] = [];
  for (const leaf of leaves) tree.append(leaf, (node) => nodes.push(node));
  return nodes;
}

/** The last entry's hash of every principal, and of all. */
export function recoverLinks(end: LogEnd): { previous: Buffer; heads: Map<string, Buffer> } {
  // Copies: views would keep the whole segment's bytes in memory.
  const heads = new Map<string, Buffer>([...end.head.principals].map(([name, hash]) => [name, Buffer.from(hash)]));
  for (const [principal, entry] of end.lastOf) heads.set(principal, hashEntry(entry));
  return { previous: hashEntry(end.lastEntry), heads };
}
