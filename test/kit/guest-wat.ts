import { createRequire } from 'node:module';

interface Wabt {
  parseWat(
    name: string,
    text: string,
    features: object,
  ): { toBinary(options: object): { buffer: Uint8Array }; destroy(): void };
}

const require = createRequire(import.meta.url);
let assembler: Promise<Wabt> | null = null;

/** Assembles WebAssembly text; guests of tests are written so that their bytes are visible. */
export async function assemble(text: string): Promise<Buffer> {
  assembler ??= (require('wabt') as () => Promise<Wabt>)();
  const module = (await assembler).parseWat('guest.wat', text, {});
  const { buffer } = module.toBinary({});
  const bytes = Buffer.from(buffer);
  module.destroy();
  return bytes;
}

const ENV = {
  alloc: '(param i64) (result i64)',
  free: '(param i64)',
  length: '(param i64) (result i64)',
  load_u8: '(param i64) (result i32)',
  store_u8: '(param i64 i32)',
  store_u64: '(param i64 i64)',
  input_length: '(result i64)',
  input_load_u8: '(param i64) (result i32)',
  output_set: '(param i64 i64)',
  error_set: '(param i64)',
  var_set: '(param i64 i64)',
} as const;

export interface GuestText {
  /** Calls of `extism:host/user`: name to number of parameters and whether it is imported with a result. */
  readonly calls?: Readonly<Record<string, { readonly params: number; readonly result: boolean }>>;
  /** Bytes at fixed addresses of linear memory. */
  readonly data?: Readonly<Record<number, string>>;
  /** Export name to body; a body leaves an i32 return code. Locals $a $b $c are i64, $i $j are i32. */
  readonly exports: Readonly<Record<string, string>>;
  readonly pages?: string;
  /** Further imports, as text. */
  readonly imports?: string;
  readonly more?: string;
}

/**
 * A guest module. `$block addr len` copies linear memory into a new Extism block, `$answer block` makes a block the output,
 * and each call is `$name`.
 */
export function guestText({ calls = {}, data = {}, exports, pages = '2', imports = '', more = '' }: GuestText): string {
  const env = Object.entries(ENV).map(([name, type]) => `(import "extism:host/env" "${name}" (func $${name} ${type}))`);
  const user = Object.entries(calls).map(([name, { params, result }]) => {
    const types = params === 0 ? '' : `(param${' i64'.repeat(params)})`;
    return `(import "extism:host/user" "${name}" (func $${name} ${types} ${result ? '(result i64)' : ''}))`;
  });
  const segments = Object.entries(data).map(([address, text]) => `(data (i32.const ${address}) "${text}")`);
  const functions = Object.entries(exports).map(
    ([name, body]) =>
      `(func (export "${name}") (result i32) (local $a i64) (local $b i64) (local $c i64) (local $i i32) (local $j i32) ${body})`,
  );
  return `(module ${env.join('\n')} ${user.join('\n')} ${imports}
    (memory (export "memory") ${pages})
    ${segments.join('\n')}
    (func $block (param $at i32) (param $bytes i32) (result i64) (local $to i64) (local $i i32)
      (local.set $to (call $alloc (i64.extend_i32_u (local.get $bytes))))
      (block $end (loop $next
        (br_if $end (i32.ge_u (local.get $i) (local.get $bytes)))
        (call $store_u8 (i64.add (local.get $to) (i64.extend_i32_u (local.get $i)))
          (i32.load8_u (i32.add (local.get $at) (local.get $i))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
      (local.get $to))
    (func $answer (param $block i64)
      (call $output_set (local.get $block) (call $length (local.get $block))))
    ${more}
    ${functions.join('\n')})`;
}
