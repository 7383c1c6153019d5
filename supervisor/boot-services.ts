import type { Fault } from '../abi/errno.js';
import type { BusPort } from './bus-port.js';
import type { Config } from './config.js';
import type { KernelFiles } from './files-service.js';
import type { Home } from './home.js';
import { HostProcesses } from './host-process/service.js';
import type { LogBook } from './log-book.js';
import type { CapsuleProcess } from './proc/capsule-process.js';
import type { HostTools } from './proc/host-tools.js';
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
  readonly processOf: (capsule: string) => CapsuleProcess | undefined;
  readonly onFault: (fault: Fault) => void;
}

/** A service that keeps something for running instances: streams, children, registrations. */
export interface InstanceOwner {
  /** The instance is gone, and with it whatever it held. Does not throw. */
  release(sourceId: string): void;
}

export interface KernelServices {
  readonly handlers: ReturnType<typeof makeHandlers>;
  /** Called once for each instance that ended, however it ended. */
  release(sourceId: string): void;
  /** Ends whatever the services hold; capsules are gone already. */
  close(): Promise<void>;
}

/** Makes the services behind the host calls. Each line of `owners` and `closing` is one thing that must not outlive its owner. */
export function openServices(parts: ServiceParts): KernelServices {
  const { files, bus, people, store } = parts;
  const processes = openProcesses(parts);
  const owners: readonly InstanceOwner[] = [processes];
  const closing: readonly (() => Promise<void> | void)[] = [() => processes.close()];
  return {
    handlers: makeHandlers({ files, bus, hooks: bus, kv: new KvStore(store), people, processes }),
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
