import type { ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';

/**
 * The stream on a descriptor of a child that was just started, or null. Out of descriptors, Node gives a child that has no streams
 * at all, whatever its types say, and tells why later, as an `error` event: listen for that first.
 */
export function streamOf(child: ChildProcess, descriptor: number): Duplex | null {
  const stdio: Partial<ChildProcess>['stdio'] = child.stdio;
  return (stdio?.[descriptor] ?? null) as Duplex | null;
}
