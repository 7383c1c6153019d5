import { statfsSync } from 'node:fs';
import { Fault } from '../../abi/errno.js';

/** ENOSPC, EDQUOT and EFBIG as Node names them, the same as errno numbers from lmdb, and its own MDB_MAP_FULL. */
const NO_SPACE_CODES: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 28, 122, 27, -30792]);
const EIO = 5;
/** Less than this left after a failed write: the short write was the disk filling up, not the disk breaking. */
const SLACK_BYTES = 4 * 1024 * 1024;
/** lmdb names the reason of a failed commit on a second promise, which it settles in the same turn. */
const REASON_WAIT_MS = 500;

export function isNoSpace(thrown: unknown): boolean {
  return NO_SPACE_CODES.has(codeOf(thrown));
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error ? (thrown as Error & { code?: unknown }).code : undefined;
}

/**
 * Why a transaction failed. What lmdb reports (an Error with a number for its code) becomes a Fault; what the
 * transaction's own code threw stays what it is. `dir` is only asked how full its disk is.
 */
export async function faultOfCommit(thrown: unknown, dir: string): Promise<unknown> {
  const reason = await reasonOf(thrown);
  if (reason instanceof Fault || (reason === thrown && typeof codeOf(reason) !== 'number')) return reason;
  // A write that the disk takes only in part comes back from lmdb as EIO.
  if (isNoSpace(reason) || (codeOf(reason) === EIO && isNearlyFull(dir))) {
    return new Fault('no_space', 'no space left for the state database', { cause: reason });
  }
  return new Fault('io_error', 'the state database refused the write', { cause: reason });
}

async function reasonOf(thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof Error)) return thrown;
  const inner = (thrown as Error & { commitError?: Promise<unknown> }).commitError;
  if (inner === undefined) return thrown;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<unknown>((resolve) => {
    timer = setTimeout(() => resolve(new Error('the reason of the failed commit did not come')), REASON_WAIT_MS);
  });
  try {
    return await Promise.race([inner, late]);
  } catch (reason) {
    return reason;
  } finally {
    clearTimeout(timer);
  }
}

function isNearlyFull(dir: string): boolean {
  try {
    const disk = statfsSync(dir);
    return disk.bavail * disk.bsize < SLACK_BYTES;
  } catch {
    return false; // unknown is reported as io_error, which claims less
  }
}
