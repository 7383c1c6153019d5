import { Fault } from '../abi/errno.js';

/**
 * Results of the supervisor as the row types of `abi/control.ts`. Both sides are one release and the peer holds the
 * home, so only the outer shape is checked: what must not happen is that a list command prints nonsense for no list.
 */
export function readRows<Row>(result: unknown, method: string): readonly Row[] {
  if (!Array.isArray(result)) throw new Fault('bad_protocol', `${method} answered with no list`);
  return result as readonly Row[];
}

export function readRecord<Result extends object>(result: unknown, method: string): Result {
  if (typeof result !== 'object' || result === null || Array.isArray(result)) {
    throw new Fault('bad_protocol', `${method} answered with no record`);
  }
  return result as Result;
}
