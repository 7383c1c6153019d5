import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asFault, Fault, type FaultCode } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { decodeInterceptResult } from '../../bus/interceptor-chain.js';
import { interceptorView, normalisePayload } from '../../bus/payload.js';
import { matchAcl, matchAnyAcl, matchSubscription } from '../../bus/topic-match.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { bundleCapsuleScript } from './guest-bundle.js';
import { GuestRealm } from './guest-realm.js';
import { GuestFiles, GuestValues } from './guest-services.js';
import { PACKAGE_ROOT } from './package-root.js';

/** A message as it was published, and whose it is: the kernel's view, which guests never see. */
export interface Published {
  readonly topic: string;
  /** Tagged. */
  readonly payload: Record<string, unknown>;
  /** As an interceptor gets it. */
  readonly view: unknown;
  /** Null for the kernel and for clients. */
  readonly from: string | null;
  readonly session: string | null;
  readonly seq: number;
}

/** Kill a capsule while it handles a message: before its code runs, or inside its nth host call of a name. */
export interface Crash {
  readonly capsule: string;
  readonly topic: string;
  readonly reason?: string;
  readonly at?: { readonly call: string; readonly nth: number };
}

interface Invocation {
  readonly capsule: string;
  readonly action: string;
  readonly input: Buffer;
  readonly message: Published | null;
  readonly session: string | null;
}

interface Capsule {
  readonly name: string;
  readonly manifest: CapsuleManifest;
  readonly script: string;
  readonly values: GuestValues;
  readonly logs: string[];
  realm: GuestRealm;
  starts: number;
  subscriptions: Map<number, { pattern: string; queue: Published[] }>;
  current: Invocation | null;
  crash: (Crash & { left: number }) | null;
  dead: boolean;
}

export interface GuestKernelOptions {
  readonly config?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** The answer of the gate to a changing file call, or null to let it pass. */
  readonly gate?: (call: string, path: string) => FaultCode | null;
  /** False: `get_caller` tells no session, as in the original. */
  readonly tellsSession?: boolean;
}

const STEPS_MAX = 50_000;
const text = (bytes: Buffer | undefined): string => (bytes ?? Buffer.alloc(0)).toString('utf8');

/**
 * A kernel in one process and one thread, without time: capsules run in realms, messages in a queue, and a capsule that
 * waits for a message lets the others run. Manifests, ACLs and payload rules are the real ones.
 */
export class GuestKernel {
  readonly published: Published[] = [];
  readonly files = new GuestFiles();
  readonly #capsules = new Map<string, Capsule>();
  readonly #queue: Invocation[] = [];
  readonly #crashes: Crash[] = [];
  readonly #options: GuestKernelOptions;
  nowMs = 1_700_000_000_000;

  private constructor(options: GuestKernelOptions) {
    this.#options = options;
  }

  static async boot(names: readonly string[], options: GuestKernelOptions = {}): Promise<GuestKernel> {
    const kernel = new GuestKernel(options);
    for (const name of names) {
      const manifest = parseManifest(readFileSync(join(PACKAGE_ROOT, 'capsules', name, 'Capsule.toml'), 'utf8'));
      kernel.install(manifest, await bundleCapsuleScript(name));
    }
    return kernel;
  }

  install(manifest: CapsuleManifest, script: string): void {
    const { name } = manifest;
    const capsule: Omit<Capsule, 'realm'> = {
      name,
      manifest,
      script,
      values: new GuestValues(),
      logs: [],
      starts: 0,
      subscriptions: new Map(),
      current: null,
      crash: null,
      dead: false,
    };
    this.#capsules.set(name, this.#start(capsule as Capsule));
  }

  capsule(name: string): Capsule {
    const found = this.#capsules.get(name);
    if (found === undefined) throw new Error(`no capsule ${name}`);
    return found;
  }

  /** A person's prompt, as the CLI sends it. */
  prompt(session: string, words: string, context?: unknown): void {
    const payload = {
      type: 'user_input',
      text: words,
      session_id: session,
      ...(context === undefined ? {} : { context }),
    };
    this.publish(null, 'user.v1.prompt', payload, session);
  }

  /** Lets time pass and ticks, in a session or in none. */
  tick(ms: number, session: string | null): void {
    this.nowMs += ms;
    this.publish(null, 'astrid.v1.watchdog.tick', {}, session);
  }

  crashNext(crash: Crash): void {
    this.#crashes.push(crash);
  }

  /** Kills a capsule that is doing nothing, and starts it again. */
  restart(name: string): void {
    this.#revive(this.capsule(name));
  }

  publish(from: string | null, topic: string, value: unknown, session: string | null): void {
    const payload = normalisePayload(JSON.parse(JSON.stringify(value)));
    const message: Published = {
      topic,
      payload,
      view: interceptorView(payload),
      from,
      session,
      seq: this.published.length + 1,
    };
    this.published.push(message);
    for (const { subscriptions } of this.#capsules.values()) {
      for (const subscription of subscriptions.values()) {
        if (matchSubscription(subscription.pattern, topic)) subscription.queue.push(message);
      }
    }
    const input = Buffer.from(JSON.stringify(message.view) ?? 'null');
    for (const { name, action } of this.#matches(topic))
      this.#queue.push({ capsule: name, action, input, message, session });
  }

  /** Runs until nothing is left to do. */
  run(): void {
    for (let steps = 0; this.#step(); steps++)
      if (steps > STEPS_MAX) throw new Error('the capsules never come to rest');
  }

  /** Views of what was published on a topic (subscription rule), in order. */
  views<T = Record<string, unknown>>(pattern: string): T[] {
    return this.published
      .filter(({ topic }) => matchSubscription(pattern, topic) || topic === pattern)
      .map(({ view }) => view as T);
  }

  /** The text of the last final answer in a session. */
  answer(session: string): string | undefined {
    const finals = this.views<{ text: string; is_final: boolean; session_id: string }>('agent.v1.response');
    return finals.filter((view) => view.is_final && view.session_id === session).at(-1)?.text;
  }

  #matches(topic: string): { name: string; action: string }[] {
    return [...this.#capsules.values()].flatMap(({ name, manifest }) =>
      manifest.interceptors.filter((row) => matchAcl(row.event, topic)).map(({ action }) => ({ name, action })),
    );
  }

  #start(capsule: Capsule): Capsule {
    capsule.starts++;
    capsule.dead = false;
    capsule.current = null;
    capsule.subscriptions = new Map();
    const options = { now: () => this.nowMs, seed: `${capsule.name}:${capsule.starts}` };
    capsule.realm = new GuestRealm(capsule.script, (name, args) => this.#hostCall(capsule, name, args), options);
    return capsule;
  }

  #revive(capsule: Capsule): void {
    this.#start(capsule);
    const restart = {
      capsule: capsule.name,
      action: 'handle_lifecycle_restart',
      input: Buffer.alloc(0),
      message: null,
    };
    this.#queue.push({ ...restart, session: null });
  }

  /** The oldest invocation whose capsule is not busy: one that waits inside a host call lets the others go on. */
  #step(): boolean {
    const index = this.#queue.findIndex(({ capsule }) => this.capsule(capsule).current === null);
    const [next] = index < 0 ? [] : this.#queue.splice(index, 1);
    if (next === undefined) return false;
    this.#invoke(next);
    return true;
  }

  #invoke(invocation: Invocation): Buffer | null {
    const capsule = this.capsule(invocation.capsule);
    const { message } = invocation;
    const at = this.#crashes.findIndex((crash) => crash.capsule === capsule.name && crash.topic === message?.topic);
    const crash = at < 0 ? undefined : this.#crashes.splice(at, 1)[0];
    if (crash !== undefined && crash.at === undefined) return this.#fail(capsule, invocation, crash.reason ?? 'killed');
    capsule.current = invocation;
    capsule.crash = crash === undefined ? null : { ...crash, left: crash.at?.nth ?? 0 };
    try {
      const request = JSON.stringify({ name: invocation.action, arguments: [...invocation.input] });
      const output = capsule.realm.dispatch('astrid_hook_trigger', Buffer.from(request));
      capsule.current = null;
      return capsule.dead ? this.#fail(capsule, invocation, crash?.reason ?? 'killed') : output;
    } catch (error) {
      capsule.current = null;
      capsule.logs.push(`error: ${(error as Error).message}`);
      return this.#fail(capsule, invocation, capsule.dead ? (crash?.reason ?? 'killed') : (error as Error).message);
    }
  }

  #fail(capsule: Capsule, { message, session }: Invocation, reason: string): null {
    if (message !== null && !/delivery\.failed|watchdog\.tick/.test(message.topic)) {
      const failure = {
        topic: message.topic,
        capsule_id: capsule.name,
        code: 'crashed',
        reason,
        payload: message.view,
      };
      this.publish(null, 'astrid.v1.delivery.failed', failure, session);
    }
    if (capsule.dead || reason === 'killed') this.#revive(capsule);
    return null;
  }

  #hostCall(capsule: Capsule, name: string, args: readonly Buffer[]): Buffer {
    const { crash } = capsule;
    if (crash?.at?.call === name && --crash.left === 0) capsule.dead = true;
    if (capsule.dead) throw new Error('the process is gone');
    try {
      const result = this.#serve(capsule, name, args);
      return Buffer.concat([Buffer.from([0]), Buffer.from(result ?? '')]);
    } catch (error) {
      const { code, message } = asFault(error);
      if (code === 'internal') throw error;
      return Buffer.concat([Buffer.from([1]), Buffer.from(JSON.stringify({ code, message }))]);
    }
  }

  #serve(capsule: Capsule, name: string, args: readonly Buffer[]): string | Buffer | undefined {
    const [first, second] = args;
    const key = text(first);
    const { values } = capsule;
    switch (name) {
      case 'astrid_clock_ms':
        return String(this.nowMs);
      case 'astrid_log':
        capsule.logs.push(`${key}: ${text(second)}`);
        return undefined;
      case 'astrid_get_config':
        return this.#options.config?.[capsule.name]?.[key] ?? defaultOf(capsule.manifest, key);
      case 'astrid_get_caller':
        return this.#caller(capsule);
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
          ? this.#serveBus(capsule, name, key, text(second))
          : this.#serveFiles(capsule, name, key, second);
    }
  }

  #caller({ current }: Capsule): string {
    if (current?.message == null) return '{}';
    const session =
      this.#options.tellsSession === false || current.session === null ? {} : { session_id: current.session };
    return JSON.stringify({ principal: 'default', source_id: 'x', timestamp: '2026-01-01T00:00:00+00:00', ...session });
  }

  #serveBus(capsule: Capsule, name: string, first: string, second: string): string | undefined {
    const session = capsule.current?.session ?? null;
    switch (name) {
      case 'astrid_ipc_publish':
        if (!matchAnyAcl(capsule.manifest.publish, first))
          throw new Fault('capability_missing', `no publishing on ${first}`);
        if (second.length > 5 * 1024 * 1024) throw new Fault('too_large', `the payload has ${second.length} bytes`);
        this.publish(capsule.name, first, JSON.parse(second), session);
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
        return this.#receive(capsule, Number(first), Number(second));
      case 'astrid_trigger_hook':
        return this.#trigger(capsule, JSON.parse(first) as { hook: string; payload: unknown }, session);
      default:
        throw new Fault('not_served', name);
    }
  }

  #receive(capsule: Capsule, handle: number, timeoutMs: number): string {
    const subscription = capsule.subscriptions.get(handle);
    if (subscription === undefined) throw new Fault('bad_handle', 'no such subscription');
    while (subscription.queue.length === 0 && this.#step()) {
      // Others run until one of them publishes what is waited for, or none has anything to do.
    }
    if (subscription.queue.length === 0) this.nowMs += timeoutMs;
    const messages = subscription.queue.splice(0).map(({ topic, payload, seq }) => ({ topic, payload, seq }));
    return JSON.stringify({ messages, dropped: 0, lagged: 0 });
  }

  #trigger(caller: Capsule, { hook, payload }: { hook: string; payload: unknown }, session: string | null): string {
    const input = Buffer.from(JSON.stringify(payload));
    const outputs = this.#matches(hook).flatMap(({ name, action }) => {
      const target = this.capsule(name);
      if (name === caller.name || target.current !== null) return [];
      const output = this.#invoke({ capsule: name, action, input, message: null, session });
      const result = output === null ? null : decodeInterceptResult(output);
      return result === null || result.kind === 'deny' || result.payload === undefined
        ? []
        : [JSON.parse(text(Buffer.from(result.payload)))];
    });
    return JSON.stringify(outputs);
  }

  #serveFiles(capsule: Capsule, name: string, path: string, content: Buffer | undefined): string | Buffer | undefined {
    const changes = /^astrid_(write_file|fs_mkdir|fs_unlink)$/.test(name);
    const granted = capsule.manifest.capabilities[changes ? 'fs_write' : 'fs_read'] as readonly string[];
    if (!granted.some((root) => path.startsWith(root)))
      throw new Fault('capability_missing', `${path} is not declared`);
    const refusal = changes ? (this.#options.gate?.(name, path) ?? null) : null;
    if (refusal !== null) throw new Fault(refusal, `the gate refuses ${path}`);
    if (name === 'astrid_read_file') return this.files.read(path);
    if (name === 'astrid_fs_stat') return this.files.stat(path);
    if (name === 'astrid_fs_readdir') return this.files.readdir(path);
    if (name === 'astrid_fs_exists') return this.files.exists(path) ? 'true' : '';
    if (name === 'astrid_write_file') this.files.write(path, content ?? Buffer.alloc(0));
    else if (name === 'astrid_fs_mkdir') this.files.mkdir(path);
    else if (name === 'astrid_fs_unlink') this.files.unlink(path);
    else throw new Fault('not_served', name);
    return undefined;
  }
}

function defaultOf(manifest: CapsuleManifest, key: string): string {
  const fallback = manifest.env.find(({ name }) => name === key)?.default ?? '';
  return typeof fallback === 'string' ? fallback : JSON.stringify(fallback);
}
