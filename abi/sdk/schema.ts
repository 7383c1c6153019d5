/**
 * Small typed schemas: one declaration gives the TypeScript type (`Infer`), JSON Schema draft 7 (`json`) and a check of
 * incoming values with errors that name the field. Pure functions, no host calls.
 */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** `optional`: may be absent; `defaulted`: may be absent and is then filled in. JSON null counts as absent for both. */
export type Presence = 'required' | 'optional' | 'defaulted';

/** Gives the value, or undefined after it reported an issue. `at` is the path so far, empty for the root. */
type Reader<T> = (value: unknown, at: string, issues: string[]) => T | undefined;

export type Infer<S> = S extends Schema<infer T, Presence> ? T : never;
export type Shape = Readonly<Record<string, Schema<unknown, Presence>>>;

type OptionalKeys<S extends Shape> = {
  [K in keyof S]: S[K] extends Schema<unknown, 'optional'> ? K : never;
}[keyof S];
export type ObjectOf<S extends Shape> = { [K in Exclude<keyof S, OptionalKeys<S>>]: Infer<S[K]> } & {
  [K in OptionalKeys<S>]?: Infer<S[K]>;
};

/** Every issue of one value, joined by `; `. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
  readonly issues: readonly string[];

  constructor(issues: readonly string[]) {
    super(issues.join('; '));
    this.issues = issues;
  }
}

const ISSUES_MAX = 8;

export class Schema<T, P extends Presence = 'required'> {
  readonly json: JsonSchema;
  readonly presence: P;
  readonly fallback: T | undefined;
  readonly read: Reader<T>;

  constructor(json: JsonSchema, presence: P, fallback: T | undefined, read: Reader<T>) {
    this.json = json;
    this.presence = presence;
    this.fallback = fallback;
    this.read = read;
  }

  /** @throws SchemaError with at most eight issues; `name` is how the root is called in them. */
  parse(value: unknown, name = ''): T {
    const issues: string[] = [];
    const read = this.read(value, name, issues);
    if (issues.length > 0 || read === undefined) throw new SchemaError(issues.slice(0, ISSUES_MAX));
    return read;
  }

  optional(): Schema<T, 'optional'> {
    return new Schema(this.json, 'optional', undefined, this.read);
  }

  default(value: T): Schema<T, 'defaulted'> {
    return new Schema<T, 'defaulted'>({ ...this.json, default: value }, 'defaulted', value, this.read);
  }
}

interface StringBounds {
  /** Characters (code points). */
  readonly minLength?: number;
  readonly maxLength?: number;
}

interface NumberBounds {
  readonly min?: number;
  readonly max?: number;
}

const required = <T>(json: JsonSchema, read: Reader<T>): Schema<T> => new Schema<T>(json, 'required', undefined, read);
const described = (description: string | undefined): JsonSchema => (description === undefined ? {} : { description });

function string(description?: string, bounds: StringBounds = {}): Schema<string> {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY } = bounds;
  return required({ type: 'string', ...described(description), ...bounds }, (value, at, issues) => {
    if (typeof value !== 'string') return complain(issues, at, 'text', value);
    const length = codePoints(value);
    if (length < minLength) return complain(issues, at, `at least ${minLength} characters`, length);
    if (length > maxLength) return complain(issues, at, `at most ${maxLength} characters`, length);
    return value;
  });
}

function numeric(type: 'number' | 'integer', description: string | undefined, bounds: NumberBounds): Schema<number> {
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = bounds;
  const json: Record<string, unknown> = { type, ...described(description) };
  if (bounds.min !== undefined) json['minimum'] = bounds.min;
  if (bounds.max !== undefined) json['maximum'] = bounds.max;
  return required(json, (value, at, issues) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return complain(issues, at, 'a number', value);
    if (type === 'integer' && !Number.isInteger(value)) return complain(issues, at, 'a whole number', value);
    if (value < min) return complain(issues, at, `at least ${min}`, value);
    if (value > max) return complain(issues, at, `at most ${max}`, value);
    return value;
  });
}

function boolean(description?: string): Schema<boolean> {
  return required({ type: 'boolean', ...described(description) }, (value, at, issues) =>
    typeof value === 'boolean' ? value : complain(issues, at, 'true or false', value),
  );
}

function oneOf<const V extends readonly string[]>(values: V, description?: string): Schema<V[number]> {
  return required({ type: 'string', enum: values, ...described(description) }, (value, at, issues) =>
    values.includes(value as string)
      ? (value as V[number])
      : complain(issues, at, `one of ${values.join(', ')}`, value),
  );
}

function array<T>(item: Schema<T, Presence>, description?: string): Schema<T[]> {
  return required({ type: 'array', items: item.json, ...described(description) }, (value, at, issues) => {
    if (!Array.isArray(value)) return complain(issues, at, 'a list', value);
    return value.map((entry, index) => item.read(entry, `${at}[${index}]`, issues) as T);
  });
}

/** An object with exactly these fields. A field it does not know is an issue: a misspelt argument must not be ignored. */
function object<S extends Shape>(shape: S, description?: string): Schema<ObjectOf<S>> {
  return required(
    objectJson(shape, { additionalProperties: false, ...described(description) }),
    (value, at, issues) => {
      if (!isRecord(value)) return complain(issues, at, 'an object', value);
      for (const key of Object.keys(value)) {
        if (Object.hasOwn(shape, key)) continue;
        issues.push(`${join(at, key)}: unknown; known are ${Object.keys(shape).join(', ') || 'none'}`);
      }
      return readFields(shape, value, at, issues);
    },
  );
}

/** An object with at least these fields; others are dropped. For messages, where newer senders may say more. */
function openObject<S extends Shape>(shape: S, description?: string): Schema<ObjectOf<S>> {
  return required(objectJson(shape, described(description)), (value, at, issues) =>
    isRecord(value) ? readFields(shape, value, at, issues) : complain(issues, at, 'an object', value),
  );
}

function record<T>(item: Schema<T, Presence>, description?: string): Schema<Record<string, T>> {
  const json = { type: 'object', properties: {}, additionalProperties: item.json, ...described(description) };
  return required(json, (value, at, issues) => {
    if (!isRecord(value)) return complain(issues, at, 'an object', value);
    const entries = Object.entries(value).map(([key, entry]) => [key, item.read(entry, join(at, key), issues) as T]);
    return Object.fromEntries(entries) as Record<string, T>;
  });
}

/** The first alternative that fits. */
function union<const U extends readonly Schema<unknown, Presence>[]>(alternatives: U, description?: string) {
  const json = { anyOf: alternatives.map((schema) => schema.json), ...described(description) };
  return required<Infer<U[number]>>(json, (value, at, issues) => {
    for (const schema of alternatives) {
      const tried: string[] = [];
      const read = schema.read(value, at, tried);
      if (tried.length === 0 && read !== undefined) return read as Infer<U[number]>;
    }
    return complain(issues, at, `one of ${alternatives.length} forms`, value);
  });
}

/** Any JSON value, not looked into. */
function json(description?: string): Schema<unknown> {
  return required(described(description), (value, at, issues) =>
    value === undefined ? complain(issues, at, 'a JSON value', value) : value,
  );
}

export const s = {
  string,
  number: (description?: string, bounds: NumberBounds = {}) => numeric('number', description, bounds),
  integer: (description?: string, bounds: NumberBounds = {}) => numeric('integer', description, bounds),
  boolean,
  oneOf,
  array,
  object,
  openObject,
  record,
  union,
  json,
} as const;

function objectJson(shape: Shape, rest: JsonSchema): JsonSchema {
  const fields = Object.entries(shape);
  const properties = Object.fromEntries(fields.map(([key, schema]) => [key, schema.json]));
  const names = fields.filter(([, schema]) => schema.presence === 'required').map(([key]) => key);
  return { type: 'object', properties, ...(names.length === 0 ? {} : { required: names }), ...rest };
}

function readFields<S extends Shape>(shape: S, value: object, at: string, issues: string[]): ObjectOf<S> {
  const out: [string, unknown][] = [];
  for (const [key, schema] of Object.entries(shape)) {
    // Own fields only: a missing field named `constructor` must not be found on the prototype.
    const raw = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
    const absent = raw === undefined || (raw === null && schema.presence !== 'required');
    if (!absent) out.push([key, schema.read(raw, join(at, key), issues)]);
    else if (schema.presence === 'defaulted') out.push([key, schema.fallback]);
    else if (schema.presence === 'required') issues.push(`${join(at, key)}: missing`);
  }
  // fromEntries defines properties, so a field named `__proto__` stays a field.
  return Object.fromEntries(out) as ObjectOf<S>;
}

function complain(issues: string[], at: string, expected: string, got: unknown): undefined {
  issues.push(`${at === '' ? 'value' : at}: expected ${expected}, got ${show(got)}`);
  return undefined;
}

function show(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function join(at: string, key: string): string {
  return at === '' ? key : `${at}.${key}`;
}

function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
