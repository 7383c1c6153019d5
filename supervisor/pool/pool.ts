import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { asFault, Fault } from '../../abi/errno.js';
import type { ModuleReport } from '../capsule/inspect.js';
import type { TaskName, TaskReply, TaskResults } from './tasks.js';

/** Work that would stall the event loop: a 32 MiB module takes most of a second to hash. */
export interface Pool {
  /** Takes the bytes over: `bytes` may be empty afterwards; use those of the answer, which are the ones hashed. */
  hashBlake3(bytes: Uint8Array): Promise<{ readonly hash: string; readonly bytes: Buffer }>;
  /** Takes the bytes over, as above. @throws Fault of `inspectModule` */
  inspectModule(bytes: Uint8Array): Promise<{ readonly report: ModuleReport; readonly bytes: Buffer }>;
  /** Ends the threads; work under way is answered with a Fault `cancelled`. */
  close(): Promise<void>;
}

export interface PoolOptions {
  readonly threadsMax?: number;
  /** The module whose exports are the tasks. Tests give their own, with tasks that crash. */
  readonly tasks?: URL;
  readonly heapMibMax?: number;
}

const THREADS_MAX = 2;
const IDLE_MS = 10_000;
const HEAP_MIB_MAX = 128;
const STACK_MIB = 4;
const WAITING_MAX = 256;

export function openPool(options: PoolOptions = {}): Pool {
  const tasks = new TaskRunner(options);
  return {
    hashBlake3: async (bytes) => {
      const { value, bytes: back } = await tasks.run('hashBlake3', bytes);
      return { hash: value, bytes: back };
    },
    inspectModule: async (bytes) => {
      const { value, bytes: back } = await tasks.run('inspectModule', bytes);
      return { report: value, bytes: back };
    },
    close: () => tasks.close(),
  };
}

/**
 * Piscina, with every way a thread can end turned into a Fault of the task that was on it. Never more tasks are given
 * to it than it may have threads: what waits in its own queue is forgotten when the last thread crashes.
 */
class TaskRunner {
  readonly #piscina: Piscina;
  readonly #threadsMax: number;
  /** One entry per task under way; called when a thread failed before it could take a task. */
  readonly #running = new Set<(fault: Fault) => void>();
  readonly #waiting: { readonly start: () => void; readonly refuse: (fault: Fault) => void }[] = [];
  #free: number;
  #closed = false;

  constructor(options: PoolOptions) {
    this.#threadsMax = options.threadsMax ?? THREADS_MAX;
    this.#free = this.#threadsMax;
    this.#piscina = new Piscina({
      filename: fileURLToPath(options.tasks ?? new URL('./tasks.js', import.meta.url)),
      minThreads: 0,
      maxThreads: this.#threadsMax,
      idleTimeout: IDLE_MS,
      // A thread sees neither the environment nor the loader flags of the process.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: options.heapMibMax ?? HEAP_MIB_MAX, stackSizeMb: STACK_MIB },
    });
    this.#piscina.on('error', (error: unknown) => {
      for (const refuse of [...this.#running]) refuse(describeCrash(error));
    });
  }

  async run<Name extends TaskName>(
    name: Name,
    input: Uint8Array,
  ): Promise<{ value: TaskResults[Name]; bytes: Buffer }> {
    await this.#takePlace();
    try {
      const reply = await this.#runOnThread(name, detach(input));
      if (!reply.ok)
        throw new Fault(reply.code, reply.message, reply.field === undefined ? {} : { field: reply.field });
      return { value: reply.value, bytes: Buffer.from(reply.bytes) };
    } finally {
      this.#givePlace();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const fault = cancelled();
    for (const { refuse } of this.#waiting.splice(0)) refuse(fault);
    for (const refuse of [...this.#running]) refuse(fault);
    await this.#piscina.destroy();
  }

  #runOnThread<Name extends TaskName>(name: Name, bytes: ArrayBuffer): Promise<TaskReply<TaskResults[Name]>> {
    return new Promise((resolve, reject) => {
      const refuse = (fault: Fault) => {
        this.#running.delete(refuse);
        reject(fault);
      };
      this.#running.add(refuse);
      this.#piscina.run(bytes, { name, transferList: [bytes] }).then(
        (reply: TaskReply<TaskResults[Name]>) => {
          this.#running.delete(refuse);
          resolve(reply);
        },
        (error: unknown) => refuse(this.#closed ? cancelled() : describeCrash(error)),
      );
    });
  }

  #takePlace(): Promise<void> {
    if (this.#closed) return Promise.reject(cancelled());
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(new Fault('rate_limited', `thread pool: more than ${WAITING_MAX} tasks wait already`));
    }
    return new Promise((start, refuse) => this.#waiting.push({ start, refuse }));
  }

  #givePlace(): void {
    const next = this.#waiting.shift();
    if (next) next.start();
    else this.#free += 1;
  }
}

/** The bytes as a buffer of their own that can change threads; a view of something larger is copied. */
function detach(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  const whole = buffer instanceof ArrayBuffer && bytes.byteLength > 0 && bytes.byteLength === buffer.byteLength;
  return whole ? buffer : new Uint8Array(bytes).buffer;
}

function describeCrash(error: unknown): Fault {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_WORKER_OUT_OF_MEMORY') {
    return new Fault('out_of_memory', 'thread pool: the task ran out of memory', { cause: error });
  }
  return new Fault('crashed', `thread pool: the task failed: ${asFault(error).message}`, { cause: error });
}

function cancelled(): Fault {
  return new Fault('cancelled', 'thread pool: closed');
}
