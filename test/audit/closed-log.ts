import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeEvent } from '../../abi/audit/event.js';
import { formatNoteKey, makeNoteKey } from '../../abi/audit/note.js';
import { createSigner, generateKeyPair } from '../../abi/audit/signing.js';
import { AuditLog } from '../../supervisor/auditor/log.js';
import { makeEvent } from './log-fixture.js';

/** A log of so many entries, one batch each, with its key as text. Nobody has it open any more. */
export async function writeClosedLog(directory: string, entries: number) {
  const pair = await generateKeyPair();
  const key = makeNoteKey('log.example', pair.public);
  const { log } = await AuditLog.open({ directory, key: { key, signer: createSigner(pair.secret) } }, null);
  for (let index = 0; index < entries; index++) await log.append([encodeEvent(makeEvent(index))]);
  const { checkpoint } = log;
  log.close();
  return { directory, checkpoint, key: formatNoteKey(key) };
}

/** One bit in the middle of its first segment. */
export function flipByteOfLog(directory: string): void {
  const segment = join(directory, readdirSync(directory).find((name) => name.endsWith('.log')) ?? '');
  const bytes = readFileSync(segment);
  const middle = Math.floor(bytes.length / 2);
  bytes[middle] = (bytes[middle] ?? 0) ^ 1;
  writeFileSync(segment, bytes);
}
