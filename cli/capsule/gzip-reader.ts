import { crc32, createInflateRaw } from 'node:zlib';
import { asFault, Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { archiveFault } from './archive-fault.js';

const MAGIC = [0x1f, 0x8b, 8] as const;
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const;
const FIXED_HEADER_BYTES = 10;
const TRAILER_BYTES = 8;
const PIECE_BYTES = 64 * 1024;

/**
 * Unpacks exactly one gzip member that fills `packed` to its last byte. Node's own gunzip goes on into a second member
 * and overlooks what follows, so that two readers can see two archives in one file. Size and ratio are checked with
 * every piece that comes out: a bomb is stopped when it starts, not when it is done.
 * @throws Fault `bad_archive`: `gzip`, `truncated`, `trailing`, `too_large`, `ratio`
 */
export async function gunzipOne(packed: Buffer): Promise<Buffer> {
  const start = skipHeader(packed);
  const inflate = createInflateRaw({ chunkSize: PIECE_BYTES });
  const pieces: Buffer[] = [];
  let unpacked = 0;
  let crc = 0;
  inflate.end(packed.subarray(start));
  try {
    for await (const piece of inflate as AsyncIterable<Buffer>) {
      unpacked += piece.length;
      checkGrowth(unpacked, inflate.bytesWritten);
      crc = crc32(piece, crc);
      pieces.push(piece);
    }
  } catch (thrown) {
    throw describeFailure(thrown);
  } finally {
    inflate.destroy();
  }
  checkTrailer(packed, start + inflate.bytesWritten, crc, unpacked);
  return Buffer.concat(pieces, unpacked);
}

function checkGrowth(unpacked: number, packed: number): void {
  if (unpacked > LIMITS.archiveUnpackedBytesMax) throw archiveFault('too_large');
  const allowed = LIMITS.archiveRatioFreeBytes + packed * LIMITS.archiveRatioMax;
  if (unpacked > allowed) throw archiveFault('ratio');
}

function describeFailure(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
  if (code === 'Z_BUF_ERROR') return archiveFault('truncated');
  if (typeof code === 'string' && code.startsWith('Z_')) return archiveFault('gzip');
  return asFault(thrown);
}

function checkTrailer(packed: Buffer, end: number, crc: number, unpacked: number): void {
  if (packed.length < end + TRAILER_BYTES) throw archiveFault('truncated');
  if (packed.readUInt32LE(end) !== crc || packed.readUInt32LE(end + 4) !== unpacked % 2 ** 32) {
    throw archiveFault('gzip');
  }
  if (packed.length > end + TRAILER_BYTES) throw archiveFault('trailing');
}

/** Where the deflated bytes begin. Optional fields are stepped over; flags that nobody defined are refused. */
function skipHeader(packed: Buffer): number {
  if (packed.length < FIXED_HEADER_BYTES || MAGIC.some((byte, index) => packed[index] !== byte)) {
    throw archiveFault('gzip');
  }
  const flags = packed[3] ?? 0;
  if ((flags & FLAG.reserved) !== 0) throw archiveFault('gzip');
  let at = FIXED_HEADER_BYTES;
  if ((flags & FLAG.extra) !== 0) {
    if (packed.length < at + 2) throw archiveFault('truncated');
    at += 2 + packed.readUInt16LE(at);
  }
  for (const flag of [FLAG.name, FLAG.comment]) {
    if ((flags & flag) === 0) continue;
    const nul = packed.indexOf(0, at);
    if (nul === -1) throw archiveFault('truncated');
    at = nul + 1;
  }
  if ((flags & FLAG.headerCrc) !== 0) at += 2;
  if (at > packed.length) throw archiveFault('truncated');
  return at;
}
