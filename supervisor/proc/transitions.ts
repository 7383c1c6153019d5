import type { ProcessState } from '../../abi/control.js';
import { Fault } from '../../abi/errno.js';

export type ProcessEvent =
  | 'spawn'
  | 'loaded'
  | 'ready'
  | 'invoke'
  | 'wait'
  | 'wake'
  | 'done'
  | 'stop'
  | 'exit'
  | 'give-up';

/**
 * The life of a capsule process as a table: what cannot happen in a state is a missing cell, and an event without a cell is
 * our mistake, said aloud. `running` and `waiting` are inside an invocation; `starting` lasts until it is ready.
 */
export const TRANSITIONS: Readonly<Record<ProcessState, Partial<Record<ProcessEvent, ProcessState>>>> = {
  stopped: { spawn: 'starting', stop: 'stopped' },
  starting: {
    loaded: 'starting',
    ready: 'ready',
    invoke: 'running',
    wait: 'waiting',
    wake: 'starting',
    stop: 'stopping',
    exit: 'backoff',
    'give-up': 'failed',
  },
  ready: { invoke: 'running', ready: 'ready', stop: 'stopping', exit: 'backoff', done: 'ready' },
  running: { wait: 'waiting', wake: 'running', done: 'ready', ready: 'running', stop: 'stopping', exit: 'backoff' },
  waiting: { wake: 'running', ready: 'waiting', wait: 'waiting', done: 'ready', stop: 'stopping', exit: 'backoff' },
  stopping: {
    exit: 'stopped',
    wake: 'stopping',
    done: 'stopping',
    wait: 'stopping',
    ready: 'stopping',
    loaded: 'stopping',
    stop: 'stopping',
  },
  backoff: { spawn: 'starting', stop: 'stopped', 'give-up': 'failed' },
  failed: { spawn: 'starting', stop: 'stopped' },
};

export function nextState(state: ProcessState, event: ProcessEvent): ProcessState {
  const next = TRANSITIONS[state][event];
  if (next === undefined) throw new Fault('internal', `a capsule process cannot ${event} while ${state}`);
  return next;
}
