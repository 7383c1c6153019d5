import { closeSync, openSync } from 'node:fs';
import type { Duplex, Stream } from 'node:stream';
import { Fault } from '../abi/errno.js';

/** A child process as Node gives it, whatever its types say: out of descriptors, it has no streams at all. */
interface StartedChild {
  readonly stdio?: readonly (Stream | null | undefined)[];
}

/**
 * The stream on a descriptor of a child that was just started, or null. Why there is none is told later, as an `error` event of the
 * child: whoever did not listen for that before calls this too late, and the supervisor ends.
 */
export function streamOf(child: StartedChild, descriptor: number): Duplex | null {
  return (child.stdio?.[descriptor] ?? null) as Duplex | null;
}

/** Descriptors of a start beside two for each pipe: the pipe on which libuv hears that it failed. */
const DESCRIPTORS_PER_START = 2;

/**
 * To be called before a child is spawned with so many pipes. Where the descriptors run out in the middle of a start, those it has
 * taken by then are lost for good, and each further try takes more. Throws Fault `io_error`.
 */
export function requireDescriptors(pipes: number): void {
  const held: number[] = [];
  try {
    while (held.length < 2 * pipes + DESCRIPTORS_PER_START) held.push(openSync('/dev/null', 'r'));
  } catch (cause) {
    throw new Fault('io_error', 'the system has no descriptors left to start a process with', { cause });
  } finally {
    for (const fd of held) closeSync(fd);
  }
}
