import { isUtf8 } from 'node:buffer';
import { LIMITS } from '../../abi/limits.js';
import { type ArchiveRule, archiveFault } from './archive-fault.js';
import { ArchiveNames } from './archive-names.js';

const BLOCK_BYTES = 512;
const CHECKSUM = { at: 148, bytes: 8 } as const;

/** Extended headers that only say who, when and where from; whatever changes what or how much is read is refused. */
const HARMLESS_PAX =
  /^(mtime|atime|ctime|comment|uid|gid|uname|gname|SCHILY\.(dev|ino|nlink)|LIBARCHIVE\.creationtime)$/;

const REFUSED_TYPES: Readonly<Record<string, ArchiveRule>> = {
  '1': 'link',
  '2': 'link',
  '3': 'device',
  '4': 'device',
  '6': 'fifo',
  L: 'long_name',
  K: 'long_name',
};

interface TarHeader {
  readonly name: string;
  readonly size: number;
  readonly type: string;
}

/**
 * The regular files of a tar, by path. Reads ustar and GNU headers and nothing in which readers differ: names longer
 * than a header holds, sparse files, numbers in base 256. A library that follows them cannot say that two names were
 * given, so this reader is our own; the writer is not.
 * @throws Fault `bad_archive` with one of `ARCHIVE_RULES`
 */
export function readTar(tar: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const names = new ArchiveNames();
  let at = 0;
  for (let entries = 0; ; entries++) {
    const block = takeBlocks(tar, at, BLOCK_BYTES);
    if (isZero(block)) break;
    if (entries >= LIMITS.archiveEntriesMax) throw archiveFault('too_many');
    const header = readHeader(block);
    at += BLOCK_BYTES;
    const body = takeBlocks(tar, at, header.size);
    at += roundUp(header.size);
    if (at > tar.length) throw archiveFault('truncated');
    takeEntry(header, body, names, files);
  }
  checkEnd(tar, at);
  return files;
}

function takeEntry(header: TarHeader, body: Buffer, names: ArchiveNames, files: Map<string, Buffer>): void {
  const { name, type, size } = header;
  if (type === 'x' || type === 'g') {
    checkPax(body);
    return;
  }
  const refused = REFUSED_TYPES[type];
  if (refused !== undefined) throw archiveFault(refused, name);
  if (type === '5') {
    if (size !== 0) throw archiveFault('header', name);
    names.add(name, 'directory');
    return;
  }
  if (type !== '0' && type !== '\0') throw archiveFault('type', name);
  files.set(names.add(name, 'file'), body);
}

/** Two blocks of zeros, and zeros only up to the end of the last record. */
function checkEnd(tar: Buffer, at: number): void {
  if (tar.length < at + 2 * BLOCK_BYTES) throw archiveFault('truncated');
  if (tar.length % BLOCK_BYTES !== 0 || !isZero(tar.subarray(at))) throw archiveFault('trailing');
}

function readHeader(block: Buffer): TarHeader {
  let sum = 0;
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const inChecksum = i >= CHECKSUM.at && i < CHECKSUM.at + CHECKSUM.bytes;
    sum += inChecksum ? 0x20 : (block[i] ?? 0);
  }
  if (readOctal(block, CHECKSUM.at, CHECKSUM.bytes) !== sum) throw archiveFault('header');
  const magic = block.toString('latin1', 257, 265);
  const name = readText(block, 0, 100);
  const prefix = readText(block, 345, 155);
  // In a GNU header these bytes mean other things: who reads them as a prefix sees another path.
  if (magic !== 'ustar\x0000' && (magic !== 'ustar  \0' || prefix !== '')) throw archiveFault('header', name);
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: readOctal(block, 124, 12),
    type: block.toString('latin1', 156, 157),
  };
}

function readOctal(block: Buffer, at: number, bytes: number): number {
  const digits = /^ *([0-7]{1,11})[ \0]*$/.exec(block.toString('latin1', at, at + bytes))?.[1];
  if (digits === undefined) throw archiveFault('header');
  return Number.parseInt(digits, 8);
}

/** Up to the first NUL; bytes hidden behind it would be a second name. */
function readText(block: Buffer, at: number, bytes: number): string {
  const field = block.subarray(at, at + bytes);
  const nul = field.indexOf(0);
  const text = nul === -1 ? field : field.subarray(0, nul);
  if (nul !== -1 && !isZero(field.subarray(nul))) throw archiveFault('control_character', text.toString('latin1'));
  if (!isUtf8(text)) throw archiveFault('name', text.toString('latin1'));
  return text.toString('utf8');
}

/** Records of the form `length key=value\n`. */
function checkPax(body: Buffer): void {
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    const digits = space === -1 ? '' : body.toString('latin1', at, Math.min(space, at + 9));
    const length = /^[1-9][0-9]{0,7}$/.test(digits) ? Number(digits) : 0;
    const equals = body.indexOf(0x3d, space + 1);
    const end = at + length;
    if (length === 0 || end > body.length || equals === -1 || equals >= end || body[end - 1] !== 0x0a) {
      throw archiveFault('header', 'an extended header');
    }
    const key = body.toString('utf8', space + 1, equals);
    if (!HARMLESS_PAX.test(key)) throw archiveFault('long_name', key);
    at = end;
  }
}

function takeBlocks(tar: Buffer, at: number, bytes: number): Buffer {
  if (at + bytes > tar.length) throw archiveFault('truncated');
  return tar.subarray(at, at + bytes);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
