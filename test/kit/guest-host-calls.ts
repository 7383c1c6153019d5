import { Fault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { matchAnyAcl } from '../../bus/topic-match.js';
import type { Capsule, GuestKernelOptions } from './guest-capsule.js';
import type { GuestFiles } from './guest-services.js';

/** What the calls need of the kernel they belong to. */
export interface HostPort {
  readonly files: GuestFiles;
  readonly options: GuestKernelOptions;
  nowMs: number;
  publish(from: string | null, topic: string, value: unknown, session: string | null): void;
  /** Lets one other capsule handle one message; false when there is nothing to do. */
  step(): boolean;
  trigger(caller: Capsule, topic: string, payload: unknown, session: string | null): unknown[];
}

const text = (bytes: Buffer | undefined): string => (bytes ?? Buffer.alloc(0)).toString('utf8');

/** The payload of one host call; throws Fault for what the kernel refuses. */
export function serveCall(
  kernel: HostPort,
  capsule: Capsule,
  name: string,
  args: readonly Buffer[],
): string | Buffer | undefined {
  const [first, second] = args;
  const key = text(first);
  const { values } = capsule;
  switch (name) {
    case 'astrid_clock_ms':
      return String(kernel.nowMs);
    case 'astrid_log':
      capsule.logs.push(`${key}: ${text(second)}`);
      return undefined;
    case 'astrid_get_config':
      return kernel.options.config?.[capsule.name]?.[key] ?? defaultOf(capsule.manifest, key);
    case 'astrid_get_caller':
      return caller(kernel, capsule);
    case 'astrid_kv_get':
      return values.entries.get(key);
    case 'astrid_kv_set':
      values.set(key, second ?? Buffer.alloc(0));
      return undefined;
    case 'astrid_kv_delete':
      values.entries.delete(key);
      return undefined;
    case 'astrid_kv_list_keys':
      return JSON.stringify(values.list(key));
    case 'astrid_kv_clear_prefix':
      return String(values.clear(key));
    default:
      return name.startsWith('astrid_ipc') || name === 'astrid_trigger_hook'
        ? serveBus(kernel, capsule, name, key, text(second))
        : serveFiles(kernel, capsule, name, key, second);
  }
}

function caller(kernel: HostPort, { current }: Capsule): string {
  if (current?.message == null) return '{}';
  const session =
    kernel.options.tellsSession === false || current.session === null ? {} : { session_id: current.session };
  return JSON.stringify({ principal: 'default', source_id: 'x', timestamp: '2026-01-01T00:00:00+00:00', ...session });
}

function serveBus(kernel: HostPort, capsule: Capsule, name: string, first: string, second: string): string | undefined {
  const session = capsule.current?.session ?? null;
  switch (name) {
    case 'astrid_ipc_publish':
      if (!matchAnyAcl(capsule.manifest.publish, first))
        throw new Fault('capability_missing', `no publishing on ${first}`);
      if (second.length > 5 * 1024 * 1024) throw new Fault('too_large', `the payload has ${second.length} bytes`);
      kernel.publish(capsule.name, first, JSON.parse(second), session);
      return undefined;
    case 'astrid_ipc_subscribe': {
      if (!matchAnyAcl(capsule.manifest.subscribe, first))
        throw new Fault('capability_missing', `no receiving on ${first}`);
      const handle = Math.max(0, ...capsule.subscriptions.keys()) + 1;
      capsule.subscriptions.set(handle, { pattern: first, queue: [] });
      return String(handle);
    }
    case 'astrid_ipc_unsubscribe':
      if (!capsule.subscriptions.delete(Number(first))) throw new Fault('bad_handle', 'no such subscription');
      return undefined;
    case 'astrid_ipc_recv':
      return receive(kernel, capsule, Number(first), Number(second));
    case 'astrid_trigger_hook':
      return triggerHook(kernel, capsule, first, session);
    default:
      throw new Fault('not_served', name);
  }
}

function receive(kernel: HostPort, capsule: Capsule, handle: number, timeoutMs: number): string {
  const subscription = capsule.subscriptions.get(handle);
  if (subscription === undefined) throw new Fault('bad_handle', 'no such subscription');
  while (subscription.queue.length === 0 && kernel.step()) {
    // Others run until one of them publishes what is waited for, or none has anything to do.
  }
  if (subscription.queue.length === 0) kernel.nowMs += timeoutMs;
  const messages = subscription.queue.splice(0).map(({ topic, payload, seq }) => ({ topic, payload, seq }));
  return JSON.stringify({ messages, dropped: 0, lagged: 0 });
}

function triggerHook(kernel: HostPort, capsule: Capsule, request: string, session: string | null): string {
  const { hook, payload } = JSON.parse(request) as { hook: string; payload: unknown };
  return JSON.stringify(kernel.trigger(capsule, hook, payload, session));
}

function serveFiles(
  kernel: HostPort,
  capsule: Capsule,
  name: string,
  path: string,
  content: Buffer | undefined,
): string | Buffer | undefined {
  const changes = /^astrid_(write_file|fs_mkdir|fs_unlink)$/.test(name);
  const granted = capsule.manifest.capabilities[changes ? 'fs_write' : 'fs_read'] as readonly string[];
  if (!granted.some((root) => path.startsWith(root))) throw new Fault('capability_missing', `${path} is not declared`);
  const refusal = changes ? (kernel.options.gate?.(name, path) ?? null) : null;
  if (refusal !== null) throw new Fault(refusal, `the gate refuses ${path}`);
  if (name === 'astrid_read_file') return kernel.files.read(path);
  if (name === 'astrid_fs_stat') return kernel.files.stat(path);
  if (name === 'astrid_fs_readdir') return kernel.files.readdir(path);
  if (name === 'astrid_fs_exists') return kernel.files.exists(path) ? 'true' : '';
  if (name === 'astrid_write_file') kernel.files.write(path, content ?? Buffer.alloc(0));
  else if (name === 'astrid_fs_mkdir') kernel.files.mkdir(path);
  else if (name === 'astrid_fs_unlink') kernel.files.unlink(path);
  else throw new Fault('not_served', name);
  return undefined;
}

function defaultOf(manifest: CapsuleManifest, key: string): string {
  const fallback = manifest.env.find(({ name }) => name === key)?.default ?? '';
  return typeof fallback === 'string' ? fallback : JSON.stringify(fallback);
}
