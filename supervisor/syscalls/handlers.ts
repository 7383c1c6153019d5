import { makeCronHandlers, type TimerService } from './cron.js';
import { type FilesService, makeFsHandlers } from './fs.js';
import type { SyscallHandler } from './handler.js';
import { type BusService, type HookService, makeIpcHandlers } from './ipc.js';
import { type KvService, makeKvHandlers } from './kv.js';
import { type LifecycleService, makeLifecycleHandlers } from './lifecycle.js';
import { type AskService, makePeopleHandlers } from './people.js';

export interface Services {
  readonly files: FilesService;
  readonly bus: BusService;
  readonly hooks: HookService;
  readonly kv: KvService;
  readonly people: AskService;
  readonly lifecycle: LifecycleService;
  readonly timers: TimerService;
}

/** Every call that crosses to the supervisor, by name. A test compares it with the rows of the table that say they are served. */
export function makeHandlers(services: Services): Readonly<Record<string, SyscallHandler<never>>> {
  return {
    ...makeFsHandlers(services.files),
    ...makeIpcHandlers(services.bus, services.hooks),
    ...makeKvHandlers(services.kv),
    ...makePeopleHandlers(services.people),
    ...makeLifecycleHandlers(services.lifecycle),
    ...makeCronHandlers(services.timers),
  } as unknown as Readonly<Record<string, SyscallHandler<never>>>;
}
