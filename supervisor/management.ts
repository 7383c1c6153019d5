import type { Actor, BusMessage } from '../bus/message.js';
import { fieldsOf, type InboxRow } from './kernel-inbox.js';
import type { CapsuleProcess } from './proc/capsule-process.js';

const REQUEST_PREFIX = 'astrid.v1.request.';
const RESPONSE_PREFIX = 'astrid.v1.response.';

export interface ManagementParts {
  readonly processes: () => readonly CapsuleProcess[];
  readonly version: string;
  readonly startedAt: number;
  readonly clients: () => number;
  readonly publishKernel: (topic: string, payload: unknown, actor: Actor) => void;
}

interface Answer {
  readonly status: string;
  readonly data: unknown;
}

/** Installing, reloading and stopping are for the operator at the control socket, and not for whoever speaks through a capsule. */
const OPERATORS_ONLY: Readonly<Record<string, string>> = {
  ReloadCapsules: 'astrid capsule update',
  Shutdown: 'astrid stop',
  InstallCapsule: 'astrid capsule install',
  ApproveCapability: 'astrid approvals',
};

/** What uplinks may ask the kernel (ABI reference 5.9): the method is in the payload, the suffix only finds the reply. */
export class Management {
  readonly #parts: ManagementParts;

  constructor(parts: ManagementParts) {
    this.#parts = parts;
  }

  get inbox(): InboxRow {
    return { prefix: REQUEST_PREFIX, receive: (_from, message) => this.#receive(message) };
  }

  #receive({ topic, payload, actor }: BusMessage): void {
    const { type, method } = fieldsOf(payload);
    // As in the original: only `raw_json` is a request, and what is none has no reply.
    if (type !== 'raw_json' || typeof method !== 'string') return;
    const reply = { type: 'raw_json', ...this.#answer(method) };
    const suffix = topic.slice(REQUEST_PREFIX.length);
    this.#parts.publishKernel(`${RESPONSE_PREFIX}${suffix}`, reply, { ...actor, attribution: 'system' });
  }

  #answer(method: string): Answer {
    const instead = Object.hasOwn(OPERATORS_ONLY, method) ? OPERATORS_ONLY[method] : undefined;
    if (instead !== undefined) return { status: 'Error', data: `${method} is not for capsules; use: ${instead}` };
    const processes = this.#parts.processes();
    switch (method) {
      case 'ListCapsules':
        return { status: 'Success', data: processes.map(({ name }) => name) };
      case 'GetCommands':
        return { status: 'Commands', data: processes.flatMap(commandsOf) };
      case 'GetCapsuleMetadata':
        return { status: 'CapsuleMetadata', data: processes.map(describe) };
      case 'GetStatus':
        return { status: 'Status', data: this.#status(processes) };
      default:
        return { status: 'Error', data: 'unknown method' };
    }
  }

  #status(processes: readonly CapsuleProcess[]): unknown {
    return {
      pid: process.pid,
      uptime_secs: Math.floor((performance.now() - this.#parts.startedAt) / 1000),
      version: this.#parts.version,
      ephemeral: false,
      connected_clients: this.#parts.clients(),
      loaded_capsules: processes.filter(({ isReady }) => isReady).map(({ name }) => name),
    };
  }
}

function commandsOf({ name: capsule, spec }: CapsuleProcess): unknown[] {
  return spec.manifest.commands.map(({ name, description }) => ({
    name,
    description: description ?? '',
    provider_capsule: capsule,
  }));
}

function describe({ name, spec }: CapsuleProcess): unknown {
  return { name, interceptor_events: spec.manifest.interceptors.map(({ event }) => event) };
}
