import { encodeEvent } from '../../abi/audit/event.js';
import { verifyLog } from '../../abi/audit/verify.js';
import { openLogKey } from '../../supervisor/auditor/key-file.js';
import { AuditLog, type LogOptions, type OpenedLog } from '../../supervisor/auditor/log.js';
import { listSegments } from '../../supervisor/auditor/recovery.js';
import { preparePrivateDirectory } from '../../supervisor/private-files/directory.js';
import { makeEvent, type Paths, readKey, readLog, sourcesOf } from './log-fixture.js';

const SMALL = { segmentBytesMax: 2000 };

/** The log in this process, with small segments so that it rotates. */
export async function openLog(
  paths: Paths,
  more: Partial<LogOptions> = {},
  known: string | null = null,
): Promise<OpenedLog> {
  await preparePrivateDirectory(paths.logDir);
  const key = await openLogKey(paths, listSegments(paths.logDir).length === 0);
  return AuditLog.open({ directory: paths.logDir, key, ...SMALL, ...more }, known);
}

export const bytesOf = (...numbers: number[]): Buffer[] => numbers.map((number) => encodeEvent(makeEvent(number)));

export async function appendEach(log: AuditLog, from: number, to: number): Promise<void> {
  for (let number = from; number < to; number += 1) await log.append(bytesOf(number));
}

/** All of it verifies, and nothing is behind the last checkpoint. */
export async function verifies(paths: Paths, entries: number, known?: string) {
  const options = { key: readKey(paths), everySignature: true, ...(known === undefined ? {} : { known }) };
  const report = await verifyLog(sourcesOf(readLog(paths)), options);
  return report.firstBad === null && report.treeSize === entries && report.unsigned.bytes === 0;
}
