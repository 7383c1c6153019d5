import { Fault } from '../../abi/errno.js';
import type { PathGuard } from '../vfs/layer-walk.js';
import type { Mount } from '../vfs/mount.js';
import { type GuestPath, grantCovers, parseGuestPath } from '../vfs/path.js';
import { type CallContext, decodeText, EMPTY, encodeJson, type SyscallHandler } from './handler.js';

/** Finds the mount a path belongs to, for the principal and session of a call. */
export interface FilesService {
  /** The session's workspace, for a path below `cwd://`. */
  scopeOf(path: GuestPath, actor: CallContext['actor']): string | undefined;
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

/**
 * Grant and policy are asked again about where the path really leads, links followed, in the walk that then acts there: a link
 * inside what was granted is no way out of it.
 */
const guardFor = (capability: 'fs_read' | 'fs_write', context: CallContext) => (real: GuestPath) =>
  context.recheck(real.display, covers(capability)({ path: real }, context));

export function makeFsHandlers(files: FilesService) {
  const scope = ({ path }: PathRequest, { actor }: CallContext) => files.scopeOf(path, actor);
  const reader = (
    run: (mount: Mount, path: GuestPath, guard: PathGuard) => Promise<Buffer>,
  ): SyscallHandler<PathRequest> => ({
    decode: ([path]) => ({ path: decodePath(path) }),
    resource,
    scope,
    covers: covers('fs_read'),
    run: async ({ path }, context) => {
      const mount = await files.mountFor(path, context.actor);
      return run(mount, path, guardFor('fs_read', context));
    },
  });
  const changer = (
    what: string,
    run: (mount: Mount, path: GuestPath, guard: PathGuard) => Promise<void>,
  ): SyscallHandler<PathRequest> => ({
    decode: ([path]) => ({ path: decodePath(path) }),
    resource,
    scope,
    covers: covers('fs_write'),
    preview: async ({ path }) => [`${what} ${path.display}`],
    run: async ({ path }, context) => {
      await run(await files.mountFor(path, context.actor), path, guardFor('fs_write', context));
      return EMPTY;
    },
  });
  const write: SyscallHandler<PathRequest & { readonly content: Buffer }> = {
    decode: ([path, content]) => ({ path: decodePath(path), content: content ?? EMPTY }),
    resource,
    scope,
    covers: covers('fs_write'),
    preview: ({ path, content }, { actor }) => files.previewWrite(path, content, actor),
    run: async ({ path, content }, context) => {
      const mount = await files.mountFor(path, context.actor);
      await mount.writeFile(path.segments, content, guardFor('fs_write', context));
      return EMPTY;
    },
  };
  return {
    astrid_fs_exists: reader(async (mount, path, guard) =>
      Buffer.from((await mount.exists(path.segments, guard)) ? 'true' : ''),
    ),
    astrid_fs_mkdir: changer('make the directory', (mount, path, guard) => mount.mkdir(path.segments, guard)),
    astrid_fs_readdir: reader(async (mount, path, guard) => encodeJson(await mount.readdir(path.segments, guard))),
    astrid_fs_stat: reader(async (mount, path, guard) => {
      const { size, isDir, mtime } = await mount.stat(path.segments, guard);
      return encodeJson({ size, isDir, mtime });
    }),
    astrid_fs_unlink: changer('delete', (mount, path, guard) => mount.unlink(path.segments, guard)),
    astrid_read_file: reader((mount, path, guard) => mount.readFile(path.segments, guard)),
    astrid_write_file: write,
  };
}

/** A call that acts on the workspace needs a session: that is what names the workspace. */
export function noWorkspace(): Fault {
  return new Fault('not_found', 'there is no workspace here: this call does not belong to a session', {
    field: 'path',
  });
}
