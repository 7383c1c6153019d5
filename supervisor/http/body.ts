import { isUtf8 } from 'node:buffer';
import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';
import { asFault, Fault } from '../../abi/errno.js';

/** Encodings that are undone, as a request asks for them. */
export const ACCEPTED_ENCODINGS = 'gzip, deflate, br';

const DECODERS: Readonly<Record<string, (first: number) => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  br: () => createBrotliDecompress(),
  // Servers send both forms under this name; a zlib header is told by its method.
  deflate: (first) => ((first & 0x0f) === 8 ? createInflate() : createInflateRaw()),
};

/** Whether `readBody` will undo this content encoding: then length and encoding in the headers no longer describe the body. */
export function undoesEncoding(encoding: string | undefined): boolean {
  return encoding !== undefined && Object.hasOwn(DECODERS, encoding.trim().toLowerCase());
}

/**
 * The whole body, decompressed. The bound holds for what arrives and for what it becomes, piece by piece, so a bomb ends at the
 * bound and not when memory does. One encoding is undone: a chain of them multiplies.
 */
export async function readBody(body: Readable, encoding: string | undefined, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const gather = async (source: AsyncIterable<Buffer>) => {
    try {
      for await (const chunk of bounded(source, bytesMax)) chunks.push(chunk);
    } catch (error) {
      // The pipeline would wait for the server's next piece before it says what is wrong with this one.
      body.destroy(asFault(error));
      throw error;
    }
  };
  const decoder = undoesEncoding(encoding) ? DECODERS[encoding!.trim().toLowerCase()]! : null;
  if (decoder === null) {
    await gather(body);
    return Buffer.concat(chunks);
  }
  const source = bounded(body, bytesMax);
  const first = await source.next();
  if (first.done === true) return Buffer.alloc(0);
  try {
    await pipeline(prepend(first.value, source), decoder(first.value[0] ?? 0), gather);
  } catch (error) {
    throw isZlibError(error) ? notDecodable(error) : error;
  }
  return Buffer.concat(chunks);
}

/** A body as text, or Fault: the call's result is JSON and has no other form for it. */
export function textOf(body: Buffer): string {
  if (isUtf8(body)) return body.toString('utf8');
  throw new Fault('not_supported', 'the body of the response is not valid UTF-8; read it as a stream');
}

async function* bounded(source: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer, void, void> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw new Fault('too_large', `the body of the response is larger than ${bytesMax} bytes`);
    if (chunk.length > 0) yield chunk;
  }
}

async function* prepend(first: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  yield first;
  yield* rest;
}

function isZlibError(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^(Z_|ERR__?ERROR_|ERR_BROTLI|ERR_PADDING)/.test(code);
}

function notDecodable(cause: unknown): Fault {
  return new Fault('io_error', 'the body of the response does not decompress', { cause });
}
