import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { formatSegmentName } from '../../abi/audit/segment-head.js';
import { syncDirectory } from '../private-files/directory.js';
import { type DiskFile, faultOfDisk, type OpenDiskFile } from './disk-file.js';

/**
 * The segment that is being written. Its size is what was acknowledged: writes go there, and become part of it
 * when they are synced. Life: a write, then `sync`, or `cut` after a failure of either.
 */
export class SegmentFile {
  readonly #file: DiskFile;
  readonly #path: string;
  readonly #directory: string;
  #size: number;
  #written = 0;
  /** The name is not yet durable. */
  #fresh: boolean;

  private constructor(file: DiskFile, directory: string, name: string, size: number, fresh: boolean) {
    this.#file = file;
    this.#directory = directory;
    this.#path = join(directory, name);
    this.#size = size;
    this.#fresh = fresh;
  }

  /** Throws Fault `no_space` or `io_error`; also if a file of that name is there. */
  static create(directory: string, firstIndex: number, openFile: OpenDiskFile): SegmentFile {
    const name = formatSegmentName(firstIndex);
    try {
      return new SegmentFile(openFile(join(directory, name), 'create'), directory, name, 0, true);
    } catch (thrown) {
      throw faultOfDisk('creating a log segment', thrown);
    }
  }

  /** An existing segment of which the first `size` bytes were acknowledged. */
  static open(directory: string, name: string, size: number, openFile: OpenDiskFile): SegmentFile {
    try {
      return new SegmentFile(openFile(join(directory, name), 'open'), directory, name, size, false);
    } catch (thrown) {
      throw faultOfDisk('opening a log segment', thrown);
    }
  }

  get size(): number {
    return this.#size;
  }

  /** One write call, unless the system takes less at once. Throws Fault `no_space` or `io_error`; then `cut`. */
  write(bytes: Buffer): void {
    try {
      this.#file.write(bytes, this.#size);
      this.#written = bytes.length;
    } catch (thrown) {
      throw faultOfDisk('writing the log', thrown);
    }
  }

  /** Makes what was written durable. Throws Fault `no_space` or `io_error`; then `cut`. */
  async sync(): Promise<void> {
    try {
      await this.#file.sync();
      if (this.#fresh) await syncDirectory(this.#directory);
    } catch (thrown) {
      throw faultOfDisk('syncing the log', thrown);
    }
    this.#fresh = false;
    this.#size += this.#written;
    this.#written = 0;
  }

  /**
   * Takes what was not acknowledged off again, durably. After a failed sync the system may have dropped the dirty pages and
   * call them clean; they all lie behind the cut, so the next write makes them anew. Throws Fault if that fails too:
   * then nobody knows what the file holds, and the process must end.
   */
  async cut(): Promise<void> {
    this.#written = 0;
    try {
      this.#file.truncate(this.#size);
      await this.#file.sync();
    } catch (thrown) {
      throw faultOfDisk('cutting the log', thrown);
    }
  }

  /** Removes a segment that was created and never acknowledged. */
  discard(): void {
    try {
      this.#file.close();
      unlinkSync(this.#path);
    } catch (thrown) {
      throw faultOfDisk('removing a log segment', thrown);
    }
  }

  close(): void {
    this.#file.close();
  }
}
