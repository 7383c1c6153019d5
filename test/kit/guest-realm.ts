import { createHash } from 'node:crypto';
import { createContext, runInContext, Script } from 'node:vm';
import { syscallByName } from '../../abi/table.js';

/** Answers one host call with the bytes of ABI generation 3: `0x00` and the payload, or `0x01` and an error as JSON. */
export type HostCall = (name: string, args: readonly Buffer[]) => Buffer;

interface Port {
  host: (name: string, args: readonly Uint8Array[]) => Buffer;
  random: (size: number) => Buffer;
  now: () => number;
  print: (text: string) => void;
  fromBase64: (text: string) => Buffer;
  toBase64: (bytes: Uint8Array) => string;
  atob: (text: string) => string;
  btoa: (text: string) => string;
  entry: string;
  input: Buffer;
  outcome: { output?: Uint8Array; failure?: string } | null;
}

/** What the adaptor around a capsule gives its script, and how it is called; in the language of the guest's realm. */
const ADAPTOR = `
  const port = globalThis.__port;
  delete globalThis.__port;
  const own = (bytes) => { const out = new Uint8Array(bytes.length); out.set(bytes); return out; };
  globalThis.__astrid_call = (name, ...args) => {
    for (const arg of args) if (!(arg instanceof Uint8Array)) throw new TypeError(name + ' takes Uint8Arrays');
    return own(port.host(name, args));
  };
  globalThis.__astrid_env = { now: () => port.now(), random: (size) => own(port.random(size)), print: (text) => port.print(text) };
  // Built-ins that QuickJS has and this engine has not yet.
  Uint8Array.fromBase64 = (text) => own(port.fromBase64(text));
  Uint8Array.prototype.toBase64 = function () { return port.toBase64(this); };
  globalThis.atob = (text) => port.atob(text);
  globalThis.btoa = (text) => port.btoa(text);
  const enter = () => {
    const succeed = (output) => { port.outcome = { output }; };
    const fail = (error) => { port.outcome = { failure: String((error && error.stack) || error) }; };
    try {
      const result = globalThis.__astrid_dispatch(port.entry, own(port.input));
      if (result && typeof result.then === 'function') result.then(succeed, fail); else succeed(result);
    } catch (error) { fail(error); }
  };
  globalThis.__enter = enter;
`;

const ENTER = new Script('__enter()');

/** A running capsule: what the kernel needs of the engine it runs in. */
export interface Realm {
  /** A global of the guest, by value. */
  readGlobal(name: string): unknown;
  /** Calls the dispatcher and gives its output; empty for none. Throws GuestFailure with what it threw. */
  dispatch(entry: string, input: Uint8Array): Buffer;
}

export type MakeRealm = (script: string, host: HostCall, options: { now: () => number; seed: string }) => Realm;

export class GuestFailure extends Error {}

/**
 * A capsule's script in a realm of its own: no Node, no timers, its own built-ins. Jobs run when a call into it ends, as
 * in the adaptor, so that promises settle within the call; calls may nest across realms.
 */
export class GuestRealm implements Realm {
  readonly #context: object;
  readonly #port: Port;

  constructor(script: string, host: HostCall, options: { now: () => number; seed: string }) {
    let drawn = 0;
    const random = (size: number): Buffer => {
      const blocks = Array.from({ length: Math.ceil(size / 32) }, () =>
        createHash('sha256').update(`${options.seed}:${drawn++}`).digest(),
      );
      return Buffer.concat(blocks).subarray(0, size);
    };
    const checked = (name: string, args: readonly Uint8Array[]): Buffer => {
      const row = syscallByName(name);
      if (row === undefined || row.params.length !== args.length) throw new TypeError(`${name} with ${args.length}`);
      return host(
        name,
        args.map((arg) => Buffer.from(arg)),
      );
    };
    const print = () => undefined;
    const fromBase64 = (text: string) => Buffer.from(text, 'base64');
    const toBase64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const input = Buffer.alloc(0);
    this.#port = {
      host: checked,
      random,
      now: options.now,
      print,
      fromBase64,
      toBase64,
      atob,
      btoa,
      entry: '',
      input,
      outcome: null,
    };
    this.#context = createContext({ __port: this.#port }, { microtaskMode: 'afterEvaluate' });
    runInContext(`(() => {${ADAPTOR}})()`, this.#context);
    runInContext(script, this.#context);
  }

  readGlobal(name: string): unknown {
    return JSON.parse(runInContext(`JSON.stringify(globalThis[${JSON.stringify(name)}] ?? null)`, this.#context));
  }

  dispatch(entry: string, input: Uint8Array): Buffer {
    const port = this.#port;
    const outer = { entry: port.entry, input: port.input };
    port.entry = entry;
    port.input = Buffer.from(input);
    port.outcome = null;
    ENTER.runInContext(this.#context);
    const outcome = this.#takeOutcome();
    Object.assign(port, outer);
    if (outcome === null) throw new GuestFailure('the promise never settled');
    if (outcome.failure !== undefined) throw new GuestFailure(outcome.failure);
    return Buffer.from(outcome.output ?? []);
  }

  #takeOutcome(): Port['outcome'] {
    const { outcome } = this.#port;
    this.#port.outcome = null;
    return outcome;
  }
}
