import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { QuickJS } from 'quickjs-wasi';
import { GuestFailure, type HostCall, type Realm } from './guest-realm.js';
import { PACKAGE_ROOT } from './package-root.js';

/** The adaptor in the engine's own language; bytes cross as base64, which is slow and needs no pointers. */
const ADAPTOR = `(() => {
  const host = globalThis.__host, draw = globalThis.__draw;
  globalThis.__astrid_call = (name, ...args) => Uint8Array.fromBase64(host(name, args.map((arg) => arg.toBase64()).join()));
  globalThis.__astrid_env = { now: () => Date.now(), random: (size) => Uint8Array.fromBase64(draw(size)), print: () => {} };
  globalThis.__outcome = null;
  globalThis.__enter = (entry, input) => {
    const fail = (error) => { globalThis.__outcome = 'E' + String((error && error.stack) || error) + String(error); };
    const succeed = (output) => { globalThis.__outcome = 'O' + (output === undefined ? '' : output.toBase64()); };
    globalThis.__outcome = null;
    try {
      const result = globalThis.__astrid_dispatch(entry, Uint8Array.fromBase64(input));
      if (result && typeof result.then === 'function') result.then(succeed, fail); else succeed(result);
    } catch (error) { fail(error); }
  };
})()`;

/** A capsule's script in the engine that it is built for. The engine is made beforehand: making one takes a promise. */
export class QuickRealm implements Realm {
  readonly #vm: QuickJS;

  constructor(vm: QuickJS, script: string, host: HostCall, options: { seed: string }) {
    this.#vm = vm;
    let drawn = 0;
    this.#define('__host', (name, args) => {
      const list = args === undefined || args === '' ? [] : args.split(',');
      return host(
        name ?? '',
        list.map((arg) => Buffer.from(arg, 'base64')),
      ).toString('base64');
    });
    this.#define('__draw', (size) => {
      const block = createHash('sha256').update(`${options.seed}:${drawn++}`).digest();
      return block.subarray(0, Number(size)).toString('base64');
    });
    this.#run(ADAPTOR);
    this.#run(script);
  }

  static create(): Promise<QuickJS> {
    return QuickJS.create(readFileSync(join(PACKAGE_ROOT, 'node_modules/quickjs-wasi/quickjs.wasm')));
  }

  readGlobal(name: string): unknown {
    return JSON.parse(String(this.#run(`JSON.stringify(globalThis[${JSON.stringify(name)}] ?? null)`)));
  }

  dispatch(entry: string, input: Uint8Array): Buffer {
    const argument = JSON.stringify(Buffer.from(input).toString('base64'));
    this.#run(`__enter(${JSON.stringify(entry)}, ${argument})`);
    this.#vm.executePendingJobs();
    const outcome = this.#run('__outcome');
    if (typeof outcome !== 'string') throw new GuestFailure('the promise never settled');
    if (outcome.startsWith('E')) throw new GuestFailure(outcome.slice(1));
    return Buffer.from(outcome.slice(1), 'base64');
  }

  #define(name: string, answer: (...args: string[]) => string): void {
    const vm = this.#vm;
    const fn = vm.newFunction(name, (...handles) =>
      vm.newString(answer(...handles.map((handle) => handle.toString()))),
    );
    vm.setProp(vm.global, name, fn);
    fn.dispose();
  }

  #run(code: string): unknown {
    const result = this.#vm.evalCode(code);
    const value: unknown = this.#vm.dump(result);
    result.dispose();
    return value;
  }
}
