import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { EntryError } from './errno-fault.js';
import type { HeldEntry } from './held-dir.js';

const CHUNK_BYTES = 256 * 1024;

/** The whole content of a held regular file. Throws EntryError `too_large` above `bytesMax`, also when it grows while read. */
export async function readContent(entry: HeldEntry, bytesMax: number): Promise<Buffer> {
  const size = Number(entry.stat.size);
  if (size > bytesMax) throw tooLarge(bytesMax);
  const file = await entry.openData();
  try {
    // One byte more than the size, so that a file which grew is noticed; size 0 may be a file that has none (procfs).
    let buffer = Buffer.alloc(size === 0 ? CHUNK_BYTES : size + 1);
    let filled = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, filled);
      filled += bytesRead;
      if (filled > bytesMax) throw tooLarge(bytesMax);
      if (bytesRead === 0 || (size > 0 && filled === size)) return buffer.subarray(0, filled);
      if (filled === buffer.length) buffer = Buffer.concat([buffer], buffer.length + CHUNK_BYTES);
    }
  } finally {
    await file.close();
  }
}

function tooLarge(bytesMax: number): EntryError {
  return new EntryError('too_large', `is larger than ${bytesMax} bytes`);
}

/** Hands the content of a held file to `take`, a piece at a time; the piece is valid until `take` settles. */
async function eachChunk(entry: HeldEntry, take: (chunk: Buffer) => Promise<void> | void): Promise<void> {
  const file = await entry.openData();
  try {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      await take(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** SHA-256 in hex. The native one: it runs at disk speed, where a portable BLAKE3 stops at about 40 MB/s. */
export async function hashContent(entry: HeldEntry): Promise<string> {
  const hash = createHash('sha256');
  await eachChunk(entry, (chunk) => {
    hash.update(chunk);
  });
  return hash.digest('hex');
}

export async function copyContent(entry: HeldEntry, into: FileHandle): Promise<void> {
  await eachChunk(entry, (chunk) => writeAll(into, chunk));
}

/** write(2) may take less than it was given (a full disk, a signal); this returns when everything was taken. */
export async function writeAll(file: FileHandle, content: Uint8Array): Promise<void> {
  for (let written = 0; written < content.length; ) {
    written += (await file.write(content, written, content.length - written, null)).bytesWritten;
  }
}

/** As `writeAll`, from a given offset of the file on. */
export async function writeAllAt(file: FileHandle, content: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < content.length; ) {
    written += (await file.write(content, written, content.length - written, position + written)).bytesWritten;
  }
}
