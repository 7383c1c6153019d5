declare const DOMException: new (message: string, name: string) => Error;

const ERRORS: Readonly<Record<string, new (message?: string) => Error>> = {
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
};

/**
 * The `structuredClone` of the web: JSON-like values, dates, regular expressions, maps, sets, errors, bytes and the
 * wrappers of primitives, with cycles and shared references kept. Functions, symbols, promises and weak collections are
 * refused with a `DataCloneError`. There is nothing here that could be transferred, so the option is refused when it
 * names anything.
 */
export function structuredClone<T>(value: T, options: { readonly transfer?: readonly unknown[] } = {}): T {
  if ((options.transfer?.length ?? 0) > 0) throw refuse('nothing can be transferred in a capsule');
  return copy(value, new Map()) as T;
}

function refuse(message: string): Error {
  return new DOMException(message, 'DataCloneError');
}

function copy(value: unknown, seen: Map<object, unknown>): unknown {
  if (typeof value === 'function' || typeof value === 'symbol') throw refuse(`a ${typeof value} cannot be cloned`);
  if (typeof value !== 'object' || value === null) return value;
  const known = seen.get(value);
  if (known !== undefined) return known;
  const keep = <T>(made: T): T => {
    seen.set(value, made);
    return made;
  };
  if (Array.isArray(value)) {
    const list = keep(new Array<unknown>(value.length));
    return fill(list as unknown as Record<string, unknown>, value, seen);
  }
  if (value instanceof Map) {
    const map = keep(new Map<unknown, unknown>());
    for (const [key, entry] of [...value]) map.set(copy(key, seen), copy(entry, seen));
    return map;
  }
  if (value instanceof Set) {
    const set = keep(new Set<unknown>());
    for (const entry of [...value]) set.add(copy(entry, seen));
    return set;
  }
  if (value instanceof Error) return copyError(value, keep, seen);
  const plain = copyPlatform(value, seen);
  if (plain !== undefined) return keep(plain);
  const tag = Object.prototype.toString.call(value);
  if (tag !== '[object Object]') throw refuse(`${tag} cannot be cloned`);
  return fill(keep({}), value, seen);
}

/** Own enumerable properties with text keys; defined and not assigned, so that `__proto__` stays a property. */
function fill(to: Record<string, unknown>, from: object, seen: Map<object, unknown>): unknown {
  for (const [key, entry] of Object.entries(from)) {
    const made = copy(entry, seen);
    Object.defineProperty(to, key, { value: made, writable: true, enumerable: true, configurable: true });
  }
  return to;
}

function copyError(error: Error, keep: <T>(made: T) => T, seen: Map<object, unknown>): Error {
  const make = (Object.hasOwn(ERRORS, error.name) ? ERRORS[error.name] : undefined) ?? Error;
  const made = keep(new make(error.message));
  const hidden = { writable: true, enumerable: false, configurable: true };
  Object.defineProperty(made, 'stack', { value: error.stack, ...hidden });
  if (error.cause !== undefined) Object.defineProperty(made, 'cause', { value: copy(error.cause, seen), ...hidden });
  return made;
}

/** Values that hold no others but a buffer; undefined for anything else. */
function copyPlatform(value: object, seen: Map<object, unknown>): object | undefined {
  if (value instanceof Date) return new Date(value.getTime());
  if (value instanceof RegExp) return new RegExp(value.source, value.flags);
  if (value instanceof Boolean || value instanceof Number || value instanceof String) return Object(value.valueOf());
  if (value instanceof ArrayBuffer) return value.slice(0);
  if (!ArrayBuffer.isView(value)) return undefined;
  const buffer = copy(value.buffer, seen) as ArrayBuffer;
  const View = value.constructor as new (buffer: ArrayBuffer, offset: number, length?: number) => ArrayBufferView;
  const length = value instanceof DataView ? value.byteLength : (value as Uint8Array).length;
  return new View(buffer, value.byteOffset, length);
}
