import type { PathGuard } from './layer-walk.js';
import type { FileStat, Mount } from './mount.js';
import type { GuestPath } from './path.js';

/** Gives work the mount, which stays open until the work has ended. */
export type WithMount = <T>(work: (mount: Mount) => Promise<T>) => Promise<T>;

/** A mount that need not be open between operations: each one opens it, or finds it open, and holds it until it ends. */
export class LeasedMount implements Mount {
  readonly #with: WithMount;

  constructor(withMount: WithMount) {
    this.#with = withMount;
  }

  exists(segments: readonly string[], guard?: PathGuard): Promise<boolean> {
    return this.#with((mount) => mount.exists(segments, guard));
  }

  stat(segments: readonly string[], guard?: PathGuard): Promise<FileStat> {
    return this.#with((mount) => mount.stat(segments, guard));
  }

  readdir(segments: readonly string[], guard?: PathGuard): Promise<string[]> {
    return this.#with((mount) => mount.readdir(segments, guard));
  }

  readFile(segments: readonly string[], guard?: PathGuard): Promise<Buffer> {
    return this.#with((mount) => mount.readFile(segments, guard));
  }

  writeFile(segments: readonly string[], content: Uint8Array, guard?: PathGuard): Promise<void> {
    return this.#with((mount) => mount.writeFile(segments, content, guard));
  }

  mkdir(segments: readonly string[], guard?: PathGuard): Promise<void> {
    return this.#with((mount) => mount.mkdir(segments, guard));
  }

  unlink(segments: readonly string[], guard?: PathGuard): Promise<void> {
    return this.#with((mount) => mount.unlink(segments, guard));
  }

  realPath(segments: readonly string[]): Promise<GuestPath> {
    return this.#with((mount) => mount.realPath(segments));
  }
}
