export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'funcref' | 'externref';

/** The type of a WebAssembly function. */
export interface FunctionSignature {
  readonly params: readonly ValueType[];
  readonly results: readonly ValueType[];
}

/** Binary codes of the value types. Source: WebAssembly core specification 2.0, section 5.3. */
export const VALUE_TYPES: ReadonlyMap<number, ValueType> = new Map([
  [0x7f, 'i32'],
  [0x7e, 'i64'],
  [0x7d, 'f32'],
  [0x7c, 'f64'],
  [0x7b, 'v128'],
  [0x70, 'funcref'],
  [0x6f, 'externref'],
]);

/** A signature from the short form of the tables: `signature('i32 i64', 'i32')`. */
export function signature(params: string, results: string): FunctionSignature {
  return { params: splitTypes(params), results: splitTypes(results) };
}

export function equalSignatures(a: FunctionSignature, b: FunctionSignature): boolean {
  return a.params.join() === b.params.join() && a.results.join() === b.results.join();
}

/** `(i64, i64) -> (i64)`; long lists are cut, because a module may declare a thousand parameters. */
export function formatSignature(type: FunctionSignature): string {
  return `(${joinTypes(type.params)}) -> (${joinTypes(type.results)})`;
}

function joinTypes(types: readonly ValueType[]): string {
  return types.length <= 12 ? types.join(', ') : `${types.slice(0, 12).join(', ')}, … ${types.length} in all`;
}

function splitTypes(list: string): ValueType[] {
  return list === '' ? [] : (list.split(' ') as ValueType[]);
}
