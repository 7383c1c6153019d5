import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { asFault } from '../../abi/errno.js';
import type { CapsuleManifest } from '../../abi/manifest.js';
import { decodeInterceptResult } from '../../bus/interceptor-chain.js';
import { interceptorView, normalisePayload } from '../../bus/payload.js';
import { matchAcl, matchSubscription } from '../../bus/topic-match.js';
import { parseManifest } from '../../supervisor/capsule/manifest-loader.js';
import { bundleCapsuleScript } from './guest-bundle.js';
import type { ArmedCrash, Capsule, Crash, GuestKernelOptions, Invocation, Published } from './guest-capsule.js';
import { type HostPort, serveCall } from './guest-host-calls.js';
import { GuestRealm, type HostCall } from './guest-realm.js';
import { GuestFiles, GuestValues } from './guest-services.js';
import { PACKAGE_ROOT } from './package-root.js';

const STEPS_MAX = 50_000;

/**
 * A kernel in one process and one thread, without time: capsules run in realms, messages in a queue, and a capsule that
 * waits for a message lets the others run. Manifests, ACLs and payload rules are the real ones.
 */
export class GuestKernel implements HostPort {
  readonly published: Published[] = [];
  readonly files = new GuestFiles();
  readonly #capsules = new Map<string, Capsule>();
  readonly #queue: Invocation[] = [];
  readonly #crashes: ArmedCrash[] = [];
  readonly options: GuestKernelOptions;
  #tellsFailures = true;
  nowMs = 1_700_000_000_000;

  private constructor(options: GuestKernelOptions) {
    this.options = options;
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
      away: false,
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
    this.#crashes.push({ ...crash, left: crash.at?.nth ?? 0 });
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
    for (let steps = 0; this.step(); steps++) if (steps > STEPS_MAX) throw new Error('the capsules never come to rest');
  }

  /** Runs until a message of this topic is published, and not a step further. */
  runUntil(topic: string): void {
    const from = this.published.length;
    while (!this.published.slice(from).some((message) => message.topic === topic)) {
      if (!this.step()) throw new Error(`nothing is published on ${topic}`);
    }
  }

  /** From now on nobody is told of lost messages: what the time-outs are for. */
  muteFailures(): void {
    this.#tellsFailures = false;
  }

  /** Its process ended by itself, and was started again later. */
  setAway(name: string, away: boolean): void {
    this.capsule(name).away = away;
    if (away) this.publish(null, 'astrid.v1.health.failed', { capsule_id: name, reason: 'killed' }, null);
  }

  /** As an operator removes one: what waits for it fails, and the others are told that there was a change. */
  remove(name: string): void {
    const capsule = this.capsule(name);
    this.#capsules.delete(name);
    const waiting = this.#queue.filter((invocation) => invocation.capsule === name);
    this.#queue.splice(0, Number.POSITIVE_INFINITY, ...this.#queue.filter((one) => one.capsule !== name));
    for (const invocation of waiting) this.#fail(capsule, invocation, 'the capsule is being stopped', 'cancelled');
    this.publish(null, 'astrid.v1.capsules_loaded', { type: 'raw_json', status: 'ready' }, null);
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

  /** Calls every other capsule whose interceptor matches; the answers that count. */
  trigger(caller: Capsule, topic: string, payload: unknown, session: string | null): unknown[] {
    const input = Buffer.from(JSON.stringify(payload));
    return this.#matches(topic).flatMap(({ name, action }) => {
      const target = this.capsule(name);
      if (name === caller.name || target.current !== null || target.away) return [];
      const output = this.#invoke({ capsule: name, action, input, message: null, session });
      const result = output === null ? null : decodeInterceptResult(output);
      return result === null || result.kind === 'deny' || result.payload === undefined
        ? []
        : [JSON.parse(result.payload.toString())];
    });
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
    const host: HostCall = (name, args) => this.#hostCall(capsule, name, args);
    const { makeRealm } = this.options;
    capsule.realm = makeRealm?.(capsule.script, host, options) ?? new GuestRealm(capsule.script, host, options);
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
  step(): boolean {
    const index = this.#queue.findIndex(({ capsule }) => {
      const { current, away } = this.capsule(capsule);
      return current === null && !away;
    });
    const [next] = index < 0 ? [] : this.#queue.splice(index, 1);
    if (next === undefined) return false;
    this.#invoke(next);
    return true;
  }

  #invoke(invocation: Invocation): Buffer | null {
    const capsule = this.capsule(invocation.capsule);
    const { message } = invocation;
    const crash = this.#crashes.find(({ capsule: name, topic }) => name === capsule.name && topic === message?.topic);
    if (crash !== undefined && crash.at === undefined) {
      this.#disarm(crash);
      return this.#fail(capsule, invocation, crash.reason ?? 'killed');
    }
    capsule.current = invocation;
    capsule.crash = crash ?? null;
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

  #disarm(crash: ArmedCrash): void {
    this.#crashes.splice(this.#crashes.indexOf(crash), 1);
  }

  #fail(capsule: Capsule, { message, session }: Invocation, reason: string, code = 'crashed'): null {
    if (this.#tellsFailures && message !== null && !/delivery\.failed|watchdog\.tick/.test(message.topic)) {
      const failure = {
        topic: message.topic,
        capsule_id: capsule.name,
        code,
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
    if (crash?.at?.call === name && --crash.left === 0) {
      capsule.dead = true;
      this.#disarm(crash);
    }
    if (capsule.dead) throw new Error('the process is gone');
    try {
      const result = serveCall(this, capsule, name, args);
      return Buffer.concat([Buffer.from([0]), Buffer.from(result ?? '')]);
    } catch (error) {
      const { code, message } = asFault(error);
      if (code === 'internal') throw error;
      return Buffer.concat([Buffer.from([1]), Buffer.from(JSON.stringify({ code, message }))]);
    }
  }
}
