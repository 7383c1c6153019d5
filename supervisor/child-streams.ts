import type { Duplex, Stream } from 'node:stream';

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
