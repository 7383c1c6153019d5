import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { RECORD, SegmentReader } from '../../abi/audit/segment.js';
import { parseSegmentName } from '../../abi/audit/segment-head.js';
import { Fault } from '../../abi/errno.js';
import { listSegments } from './recovery.js';

const CHUNK_BYTES = 256 * 1024;

async function* readChunks(path: string): AsyncGenerator<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    yield* handle.createReadStream({ highWaterMark: CHUNK_BYTES, autoClose: false });
  } finally {
    await handle.close();
  }
}

/**
 * The canonical bytes of the entries from `start` up to, not including, `end`, in order. In chunks, so that appends go on in
 * between; what is written behind `end` meanwhile does not matter. Throws Fault `bad_log` if one of them is not there.
 */
export async function* readEntries(directory: string, start: number, end: number): AsyncGenerator<Buffer> {
  let next = start;
  const names = listSegments(directory);
  for (const [position, name] of names.entries()) {
    if (next >= end) return;
    const following = names[position + 1];
    const endOfThis = following === undefined ? Number.POSITIVE_INFINITY : (parseSegmentName(following) ?? 0);
    if (endOfThis <= next) continue;
    let index = parseSegmentName(name) ?? 0;
    const reader = new SegmentReader();
    for await (const chunk of readChunks(join(directory, name))) {
      for (const record of reader.push(chunk)) {
        if (record.type !== RECORD.entry) continue;
        if (index === next && next < end) {
          yield record.payload;
          next += 1;
        }
        index += 1;
      }
      if (next >= end || reader.fault !== null) break;
    }
  }
  if (next < end) throw new Fault('bad_log', `entry ${next} cannot be read`, { field: 'index' });
}
