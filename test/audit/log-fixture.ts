import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { crc32 } from 'node:zlib';
import { type NoteKey, parseNoteKey } from '../../abi/audit/note.js';
import { RECORD, type RecordType, SegmentReader } from '../../abi/audit/segment.js';
import { parseSegmentName } from '../../abi/audit/segment-head.js';
import type { SegmentSource } from '../../abi/audit/verify.js';
import type { AuditEvent } from '../../abi/audit-event.js';
import { asFault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { FrameConnection } from '../../bus/connection.js';
import { AuditClient, type AuditClientOptions } from '../../supervisor/audit-client.js';
import { openLogKey } from '../../supervisor/auditor/key-file.js';
import { AuditLog, type LogOptions } from '../../supervisor/auditor/log.js';
import { listSegments } from '../../supervisor/auditor/recovery.js';
import { AuditorService } from '../../supervisor/auditor/service.js';
import { type AuditorProcess, spawnAuditor } from '../../supervisor/auditor/spawn.js';
import { fc } from '../kit/property.js';

export const ORIGIN = 'astrid.local/test';

export function makeEvent(number: number, change: Partial<AuditEvent> = {}): AuditEvent {
  return {
    time: 1_700_000_000_000 + number,
    session: 's-1',
    principal: number % 3 === 0 ? 'agent' : 'default',
    capsule: 'fs',
    action: 'write_file',
    resource: `cwd://notes/${number}.txt`,
    argsHash: 'ab'.repeat(32),
    authorization: { layer: 'approval', verdict: 'allow', reason: 'allowed once', ref: 'a-1' },
    outcome: 'accepted',
    count: null,
    digest: null,
    ...change,
  };
}

const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
const text = (min: number, max: number) =>
  fc.string({ minLength: min, maxLength: max, unit: 'binary' }).filter((s) => s.length <= max);

export const anyEvent: fc.Arbitrary<AuditEvent> = fc
  .record(
    {
      time: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      session: fc.option(text(0, 40)),
      principal: text(1, 40),
      capsule: fc.option(text(0, 40)),
      action: text(1, 40),
      resource: text(0, 200),
      argsHash: fc.option(hex),
      authorization: fc.record(
        {
          layer: fc.constantFrom('manifest', 'policy', 'token', 'budget', 'approval', 'audit', 'operator', 'system'),
          verdict: fc.constantFrom('allow', 'deny'),
          reason: text(0, 100),
          ref: fc.option(text(0, 40)),
        },
        { noNullPrototype: true },
      ),
      outcome: fc.constantFrom('accepted', 'done', 'failed', 'denied', 'summary'),
      count: fc.integer({ min: 1, max: 2 ** 48 - 1 }),
      digest: hex,
    },
    { noNullPrototype: true },
  )
  .map((event) =>
    event.outcome === 'summary' ? event : { ...event, count: null, digest: null },
  ) as fc.Arbitrary<AuditEvent>;

export interface Paths {
  readonly logDir: string;
  readonly keyPath: string;
  readonly pubPath: string;
  readonly origin: string;
  readonly checkpointPath: string;
}

export function pathsBelow(root: string): Paths {
  return {
    logDir: join(root, 'audit'),
    keyPath: join(root, 'keys', 'audit.key'),
    pubPath: join(root, 'keys', 'audit.pub'),
    origin: ORIGIN,
    checkpointPath: join(root, 'checkpoint'),
  };
}

export function makeClient(paths: Paths, more: Partial<AuditClientOptions> = {}): AuditClient {
  return new AuditClient({
    spawn: () => spawnAuditor(paths),
    checkpointPath: paths.checkpointPath,
    publicKeyPath: paths.pubPath,
    now: Date.now,
    ...more,
  });
}

/** A real auditor process writes each group of events as one batch, and ends. */
export async function writeLog(paths: Paths, batches: readonly (readonly AuditEvent[])[]): Promise<void> {
  const client = makeClient(paths);
  await client.start();
  for (const batch of batches) await Promise.all(batch.map((event) => client.append(event)));
  await client.close();
}

export interface SegmentBytes {
  readonly name: string;
  readonly bytes: Buffer;
}

export function readLog(paths: Paths): SegmentBytes[] {
  const names = readdirSync(paths.logDir).filter((name) => parseSegmentName(name) !== null);
  return names.sort().map((name) => ({ name, bytes: readFileSync(join(paths.logDir, name)) }));
}

export function readKey(paths: Paths): NoteKey {
  return parseNoteKey(readFileSync(paths.pubPath, 'utf8'));
}

export function sourcesOf(segments: readonly SegmentBytes[], chunkBytes = 1000): SegmentSource[] {
  return segments.map(({ name, bytes }) => ({ name, chunks: cutInto(bytes, chunkBytes) }));
}

export function* cutInto(bytes: Buffer, chunkBytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

/** A record as a row that a test can move, drop and change. */
export interface Row {
  readonly type: RecordType;
  readonly payload: Buffer;
}

export function rowsOf(segment: SegmentBytes): Row[] {
  return new SegmentReader().push(segment.bytes).map(({ type, payload }) => ({ type, payload: Buffer.from(payload) }));
}

/** Records with right checksums, written independently of the code under test. */
export function joinRows(rows: readonly Row[]): Buffer {
  const parts = rows.flatMap(({ type, payload }) => {
    const header = Buffer.alloc(12);
    header[0] = type;
    header.writeUIntLE(payload.length, 1, 3);
    header.writeUInt32LE(crc32(payload), 4);
    header.writeUInt32LE(crc32(header.subarray(0, 8)), 8);
    return [header, payload];
  });
  return Buffer.concat(parts);
}

export function entryPositions(rows: readonly Row[]): number[] {
  return rows.flatMap((row, position) => (row.type === RECORD.entry ? [position] : []));
}

export function duplexPair(): [Duplex, Duplex] {
  const [there, back] = [new PassThrough(), new PassThrough()];
  const one = Duplex.from({ readable: back, writable: there });
  const other = Duplex.from({ readable: there, writable: back });
  return [one, other];
}

/** The auditor's service in this process, so that a test can give it a disk that fails. `kill` ends it where it stands. */
export function serviceInProcess(
  paths: Paths,
  more: Partial<LogOptions> = {},
  mayAnswer: () => boolean = () => true,
): AuditorProcess {
  const [channel, own] = duplexPair();
  let end: (how: { code: number | null; signal: string | null }) => void = () => undefined;
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    end = resolve;
  });
  const connection = new FrameConnection(own, { frameBytesMax: LIMITS.auditFrameBytesMax });
  const service = new AuditorService({
    open: async (known) => {
      const key = await openLogKey(paths, listSegments(paths.logDir).length === 0);
      return AuditLog.open({ directory: paths.logDir, key, ...more }, known);
    },
    send: (message) => void (mayAnswer() && connection.send(message)),
    fail: () => connection.close(),
  });
  connection.onFrame((value) => service.take(value));
  connection.onClose((fault) => {
    service.close().then(
      () => end({ code: fault === null ? 0 : 1, signal: null }),
      (thrown) => end({ code: asFault(thrown).code === 'internal' ? 3 : 1, signal: null }),
    );
  });
  return { pid: 1, channel, kill: () => connection.destroy(), exited };
}
