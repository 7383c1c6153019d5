import { Fault } from '../../abi/errno.js';
import type { Mount } from '../vfs/mount.js';
import { type GuestPath, grantCovers, parseGuestPath } from '../vfs/path.js';
import { type CallContext, decodeText, EMPTY, encodeJson, type SyscallHandler } from './handler.js';

/** Finds the mount a path belongs to, for the principal and session of a call. */
export interface FilesService {
  mountFor(path: GuestPath, actor: CallContext['actor']): Promise<Mount>;
  /** What a write would change, in lines a person can judge. */
  previewWrite(path: GuestPath, content: Buffer, actor: CallContext['actor']): Promise<string[]>;
}

interface PathRequest {
  readonly path: GuestPath;
}

const decodePath = (bytes: Buffer | undefined): GuestPath => parseGuestPath(decodeText(bytes, 'path'));
const resource = ({ path }: PathRequest) => path.display;

/** The manifest's list covers the path at a component boundary; anything that is not a list of text covers nothing. */
const covers =
  (capability: 'fs_read' | 'fs_write') =>
  (request: PathRequest, { manifest }: CallContext) => {
    const grants = manifest.capabilities[capability];
    return Array.isArray(grants) && grantCovers(grants, request.path);
  };

export function makeFsHandlers(files: FilesService) {
  const reader = (run: (mount: Mount, path: GuestPath) => Promise<Buffer>): SyscallHandler<PathRequest> => ({
    decode: ([path]) => ({ path: decodePath(path) }),
    resource,
    covers: covers('fs_read'),
    run: async ({ path }, { actor }) => run(await files.mountFor(path, actor), path),
  });
  const changer = (
    what: string,
    run: (mount: Mount, path: GuestPath) => Promise<void>,
  ): SyscallHandler<PathRequest> => ({
    decode: ([path]) => ({ path: decodePath(path) }),
    resource,
    covers: covers('fs_write'),
    preview: async ({ path }) => [`${what} ${path.display}`],
    run: async ({ path }, { actor }) => {
      await run(await files.mountFor(path, actor), path);
      return EMPTY;
    },
  });
  const write: SyscallHandler<PathRequest & { readonly content: Buffer }> = {
    decode: ([path, content]) => ({ path: decodePath(path), content: content ?? EMPTY }),
    resource,
    covers: covers('fs_write'),
    preview: ({ path, content }, { actor }) => files.previewWrite(path, content, actor),
    run: async ({ path, content }, { actor }) => {
      const mount = await files.mountFor(path, actor);
      await mount.writeFile(path.segments, content);
      return EMPTY;
    },
  };
  return {
    astrid_fs_exists: reader(async (mount, path) => Buffer.from((await mount.exists(path.segments)) ? 'true' : '')),
    astrid_fs_mkdir: changer('make the directory', (mount, path) => mount.mkdir(path.segments)),
    astrid_fs_readdir: reader(async (mount, path) => encodeJson(await mount.readdir(path.segments))),
    astrid_fs_stat: reader(async (mount, path) => {
      const { size, isDir, mtime } = await mount.stat(path.segments);
      return encodeJson({ size, isDir, mtime });
    }),
    astrid_fs_unlink: changer('delete', (mount, path) => mount.unlink(path.segments)),
    astrid_read_file: reader((mount, path) => mount.readFile(path.segments)),
    astrid_write_file: write,
  };
}

/** A call that acts on the workspace needs a session: that is what names the workspace. */
export function noWorkspace(): Fault {
  return new Fault('not_found', 'there is no workspace here: this call does not belong to a session', {
    field: 'path',
  });
}
