import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import type { VerifyReport } from '../../abi/audit/verify.js';
import { asFault, Fault } from '../../abi/errno.js';
import type { ModuleReport } from '../../abi/wasm/inspect.js';
import { PROGRAMS } from '../programs.js';
import type { AuditRequest, TaskName, TaskReply, TaskTable } from './tasks.js';

/** Work that would stall the event loop: a 32 MiB module takes most of a second to hash. */
export interface Pool {
  /** Takes the bytes over: `bytes` may be empty afterwards; use those of the answer, which are the ones hashed. */
  hashBlake3(bytes: Uint8Array): Promise<{ readonly hash: string; readonly bytes: Buffer }>;
  /** Takes the bytes over, as above. @throws Fault of `inspectModule` */
  inspectModule(bytes: Uint8Array): Promise<{ readonly report: ModuleReport; readonly bytes: Buffer }>;
  /** Reads and checks a whole log. What is wrong with it is in the report. @throws Fault `bad_proof`, `bad_log` (key), `io_error` */
  verifyAudit(request: AuditRequest): Promise<VerifyReport>;
  /** Ends the threads; work under way is answered with a Fault `cancelled`. */
  close(): Promise<void>;
}

export interface PoolOptions {
  readonly threadsMax?: number;
  /** The module whose exports are the tasks. Tests give their own, with tasks that crash. */
  readonly tasks?: URL;
  readonly heapMibMax?: number;
  /** Instead of `TASK_MS_MAX`, for every task. */
  readonly taskMsMax?: number;
}

const THREADS_MAX = 2;
const IDLE_MS = 10_000;
const HEAP_MIB_MAX = 128;
const STACK_MIB = 4;
const WAITING_MAX = 256;
/**
 * A task that takes longer is answered, and its thread told to end: a capsule that is being inspected must not hold a thread for
 * ever. A large log takes its time. What tasks allocate is bounded by what they read; the heap limit is no wall, since Node 26
 * neither gives up near it nor always ends such a thread (nodejs/node pull request 65019 calls it best effort).
 */
const TASK_MS_MAX: Readonly<Record<TaskName, number>> = {
  hashBlake3: 60_000,
  inspectModule: 60_000,
  verifyAudit: 6 * 3_600_000,
};

export function openPool(options: PoolOptions = {}): Pool {
  const tasks = new TaskRunner(options);
  return {
    hashBlake3: async (input) => {
      const own = detach(input);
      const { value, bytes } = await tasks.run('hashBlake3', own, [own]);
      return { hash: value, bytes: Buffer.from(bytes) };
    },
    inspectModule: async (input) => {
      const own = detach(input);
      const { value, bytes } = await tasks.run('inspectModule', own, [own]);
      return { report: value, bytes: Buffer.from(bytes) };
    },
    verifyAudit: (request) => tasks.run('verifyAudit', request, []),
    close: () => tasks.close(),
  };
}

/** One thread, or the place for one. */
interface Place {
  /** Of one thread at most; null until it is needed, and after it could not make one. */
  piscina: Piscina | null;
  /** Ends the task that is on it, when its thread failed before it could take the task. */
  refuse: ((fault: Fault) => void) | null;
}

interface WaitingTask {
  readonly start: (place: Place) => void;
  readonly refuse: (fault: Fault) => void;
}

/**
 * Piscina, with every way a thread can end turned into a Fault of the task that was on it. One Piscina for each thread: where the
 * system has none to give (a bound on processes), `run` throws and keeps the task, and a Piscina of several would meet it again when
 * another of its threads is ready, and throw where nobody can catch it.
 */
class TaskRunner {
  readonly #options: PoolOptions;
  readonly #places: readonly Place[];
  readonly #free: Place[];
  readonly #waiting: WaitingTask[] = [];
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.threadsMax ?? THREADS_MAX }, () => ({ piscina: null, refuse: null }));
    this.#free = [...this.#places];
  }

  async run<Name extends TaskName>(
    name: Name,
    input: TaskTable[Name]['input'],
    transferred: readonly ArrayBuffer[],
  ): Promise<TaskTable[Name]['output']> {
    const place = await this.#takePlace();
    try {
      // The place was given before the close, and is taken after it.
      if (this.#closed) throw cancelled();
      const reply = await this.#runOnThread(place, name, input, transferred);
      if (reply.ok) return reply.value;
      throw new Fault(reply.code, reply.message, reply.field === undefined ? {} : { field: reply.field });
    } finally {
      this.#givePlace(place);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const fault = cancelled();
    for (const { refuse } of this.#waiting.splice(0)) refuse(fault);
    for (const { refuse } of this.#places) refuse?.(fault);
    await Promise.all(this.#places.map(({ piscina }) => piscina?.destroy()));
  }

  #openPiscina(place: Place): Piscina {
    const piscina = new Piscina({
      filename: fileURLToPath(this.#options.tasks ?? PROGRAMS.tasks),
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      // A thread sees neither the environment nor the loader flags of the process.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.#options.heapMibMax ?? HEAP_MIB_MAX, stackSizeMb: STACK_MIB },
    });
    piscina.on('error', (error: unknown) => place.refuse?.(describeCrash(error)));
    return piscina;
  }

  #runOnThread<Name extends TaskName>(
    place: Place,
    name: Name,
    input: TaskTable[Name]['input'],
    transferred: readonly ArrayBuffer[],
  ): Promise<TaskReply<TaskTable[Name]['output']>> {
    const waitMs = this.#options.taskMsMax ?? TASK_MS_MAX[name];
    const late = new AbortController();
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        // A thread that ends says so twice, and by the second time another task may have its place.
        if (place.refuse === refuse) place.refuse = null;
      };
      const refuse = (fault: Fault) => {
        settle();
        reject(fault);
      };
      const timer = setTimeout(() => late.abort(), waitMs);
      place.refuse = refuse;
      place.piscina ??= this.#openPiscina(place);
      try {
        place.piscina.run(input, { name, transferList: [...transferred], signal: late.signal }).then(
          (reply: TaskReply<TaskTable[Name]['output']>) => {
            settle();
            resolve(reply);
          },
          (error: unknown) => refuse(this.#faultOf(error, late.signal.aborted ? waitMs : null)),
        );
      } catch (error) {
        // It holds the task and has no thread: nobody will ever ask it for anything again.
        place.piscina = null;
        refuse(describeCrash(error));
      }
    });
  }

  #faultOf(error: unknown, lateMs: number | null): Fault {
    if (this.#closed) return cancelled();
    if (lateMs === null) return describeCrash(error);
    return new Fault('timed_out', `thread pool: the task took longer than ${lateMs / 1000} s`, { cause: error });
  }

  #takePlace(): Promise<Place> {
    if (this.#closed) return Promise.reject(cancelled());
    const place = this.#free.pop();
    if (place !== undefined) return Promise.resolve(place);
    if (this.#waiting.length >= WAITING_MAX) {
      return Promise.reject(new Fault('rate_limited', `thread pool: more than ${WAITING_MAX} tasks wait already`));
    }
    return new Promise((start, refuse) => this.#waiting.push({ start, refuse }));
  }

  #givePlace(place: Place): void {
    const next = this.#waiting.shift();
    if (next) next.start(place);
    else this.#free.push(place);
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
