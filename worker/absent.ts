import { Fault } from '../abi/errno.js';

/**
 * In place of `wasi` and `node:worker_threads`, which the Extism SDK imports for options that are never used here. Loading them
 * takes a third of a start, and what is not in the worker cannot be misused there.
 */
function refuse(): never {
  throw new Fault('not_supported', 'this part of Node is not in the worker');
}

export class WASI {
  constructor() {
    refuse();
  }
}

export class Worker {
  constructor() {
    refuse();
  }
}
