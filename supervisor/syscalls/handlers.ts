import { makeCronHandlers, type TimerService } from './cron.js';
import { type FilesService, makeFsHandlers } from './fs.js';
import type { SyscallHandler } from './handler.js';
import { makeHttpHandlers, type WebService } from './http.js';
import { type IdentityService, makeIdentityHandlers } from './identity.js';
import { type BusService, type HookService, makeIpcHandlers } from './ipc.js';
import { type KvService, makeKvHandlers } from './kv.js';
import { type LifecycleService, makeLifecycleHandlers } from './lifecycle.js';
import { makeNetHandlers, type NetService } from './net.js';
import { type AskService, makePeopleHandlers } from './people.js';
import { makeProcessHandlers, type ProcessService } from './process.js';
import { makeSecurityHandlers, type SecurityService } from './security.js';
import { makeUplinkHandlers, type UplinkService } from './uplink.js';

export interface Services {
  readonly files: FilesService;
  readonly bus: BusService;
  readonly hooks: HookService;
  readonly kv: KvService;
  readonly people: AskService;
  readonly web: WebService;
  readonly net: NetService;
  readonly uplinks: UplinkService;
  readonly identity: IdentityService;
  readonly security: SecurityService;
  readonly processes: ProcessService;
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
    ...makeHttpHandlers(services.web),
    ...makeNetHandlers(services.net),
    ...makeUplinkHandlers(services.uplinks),
    ...makeIdentityHandlers(services.identity),
    ...makeSecurityHandlers(services.security),
    ...makeProcessHandlers(services.processes),
    ...makeLifecycleHandlers(services.lifecycle),
    ...makeCronHandlers(services.timers),
  } as unknown as Readonly<Record<string, SyscallHandler<never>>>;
}
