import { constants, gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';

const MODE = 0o644;
/** Of the gzip header: which system wrote it. The library says what it runs on; 255 is "unknown". */
const OS_AT = 9;
const OS_UNKNOWN = 255;

/**
 * A `.capsule`: gzip tar whose bytes depend on nothing but names and contents: entries sorted by name, one mode, owner
 * 0, all times at the epoch.
 */
export async function packArchive(files: ReadonlyMap<string, Buffer>): Promise<Buffer> {
  const names = [...files.keys()].sort();
  const tar = await packTar(
    names.map((name) => {
      const body = files.get(name) ?? Buffer.alloc(0);
      const owner = { uid: 0, gid: 0, uname: '', gname: '' };
      return { header: { name, size: body.length, mode: MODE, mtime: new Date(0), type: 'file', ...owner }, body };
    }),
  );
  const packed = gzipSync(tar, { level: constants.Z_BEST_COMPRESSION });
  packed[OS_AT] = OS_UNKNOWN;
  return packed;
}
