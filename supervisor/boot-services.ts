import type { Fault } from '../abi/errno.js';
import { type LifecycleServices, openLifecycleServices } from './boot-lifecycle.js';
import type { BusPort } from './bus-port.js';
import type { Config } from './config.js';
import type { AuditPort } from './dispatch.js';
import type { KernelFiles } from './files-service.js';
import type { Approvals } from './gate/approvals.js';
import type { Home } from './home.js';
import { HostProcesses } from './host-process/service.js';
import { HttpService } from './http/service.js';
import type { LogBook } from './log-book.js';
import { openPeopleServices } from './people-services.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { HostTools } from './proc/host-tools.js';
import type { SessionToken } from './session-token.js';
import type { Sessions } from './sessions.js';
import { KvStore } from './storage/kv.js';
import type { Store } from './storage/store.js';
import { makeHandlers } from './syscalls/handlers.js';
import type { AskService } from './syscalls/people.js';

/** What services are made from: everything below them in boot. */
export interface ServiceParts {
  readonly home: Home;
  readonly config: Config;
  readonly store: Store;
  readonly tools: HostTools;
  readonly logs: LogBook;
  readonly sessions: Sessions;
  readonly files: KernelFiles;
  readonly bus: BusPort;
  readonly people: AskService;
  readonly approvals: Pick<Approvals, 'dropCapsule'>;
  readonly audit: AuditPort;
  /** Whether a capsule that speaks for people runs. */
  readonly uplinkRuns: () => boolean;
  readonly processOf: (capsule: string) => CapsuleProcess | undefined;
  readonly processes: () => readonly CapsuleProcess[];
  readonly version: string;
  readonly token: SessionToken;
  /** A client of the uplink socket that was turned away. */
  readonly onRejected: (why: string) => void;
  readonly onFault: (fault: Fault) => void;
}

/** A service that keeps something for running instances: streams, children, registrations. */
export interface InstanceOwner {
  /** The instance is gone, and with it whatever it held. Does not throw. */
  release(sourceId: string): void;
}

export interface KernelServices {
  readonly handlers: ReturnType<typeof makeHandlers>;
  readonly lifecycle: LifecycleServices;
  /** Called once for each instance that ended, however it ended. */
  release(sourceId: string): void;
  /** Ends whatever the services hold; capsules are gone already. */
  close(): Promise<void>;
}

/** Makes the services behind the host calls. Each line of `owners` and `closing` is one thing that must not outlive its owner. */
export function openServices(parts: ServiceParts): KernelServices {
  const { files, bus, people, store } = parts;
  const kv = new KvStore(store);
  const lifecycle = openLifecycleServices(parts, kv);
  const { net, uplinks, identity, security, ...peoples } = openPeopleServices(parts);
  const web = new HttpService({ local: parts.config.net.local });
  const processes = openProcesses(parts);
  const owners: readonly InstanceOwner[] = [net, uplinks, web, processes];
  const closing: readonly (() => Promise<void> | void)[] = [
    () => lifecycle.scheduler.drain(),
    peoples.close,
    () => web.close(),
    () => processes.close(),
  ];
  return {
    lifecycle,
    handlers: makeHandlers({
      files,
      bus,
      hooks: bus,
      kv,
      people,
      net,
      uplinks,
      identity,
      security,
      web,
      processes,
      ...lifecycle.handlers,
    }),
    release: (sourceId) => {
      for (const owner of owners) owner.release(sourceId);
    },
    close: async () => {
      for (const close of closing) await close();
    },
  };
}

function openProcesses({ home, config, tools, files, logs, bus, onFault }: ServiceParts): HostProcesses {
  const processes = new HostProcesses({
    home: home.root,
    tools,
    network: config.process.network,
    openPlace: (actor) => files.openCommandPlace(actor),
    log: (capsule, level, message) => logs.write(capsule, level, message),
    onFault,
  });
  bus.listen('tool.v1.request.cancel', (payload, { session }) => processes.cancelCalls(payload, session));
  return processes;
}
