import { test } from 'tap';
import { type Infer, type JsonSchema, type Presence, type Schema, SchemaError, s } from '../../abi/sdk/schema.js';
import { fc } from '../kit/property.js';

/** Fails to compile when the two types differ. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const isTrue = <T extends true>(_value?: T): void => undefined;
type Flat<T> = { [K in keyof T]: T[K] };

const example = s.object({
  path: s.string('Where', { minLength: 1 }),
  limit: s.integer('How many', { min: 1, max: 10 }).optional(),
  mode: s.oneOf(['read', 'write']).default('read'),
  tags: s.array(s.string()).optional(),
});

const issuesOf = (schema: Schema<unknown, Presence>, value: unknown): readonly string[] => {
  try {
    schema.parse(value);
    return [];
  } catch (thrown) {
    if (thrown instanceof SchemaError) return thrown.issues;
    throw thrown;
  }
};

test('schema, types, an object type with optional fields and filled defaults', (t) => {
  type Parsed = Flat<Infer<typeof example>>;
  isTrue<Same<Parsed, { path: string; mode: 'read' | 'write'; limit?: number; tags?: string[] }>>(true);
  isTrue<Same<Infer<ReturnType<typeof s.json>>, unknown>>(true);
  const union = s.union([s.string(), s.array(s.number())]);
  isTrue<Same<Infer<typeof union>, string | number[]>>(true);
  const parsed = example.parse({ path: 'a' });
  t.same(parsed, { path: 'a', mode: 'read' });
  t.notOk('limit' in parsed, 'an absent optional field stays absent');
  t.end();
});

test('schema, JSON, draft 7 with properties, required fields, bounds and defaults', (t) => {
  t.same(example.json, {
    type: 'object',
    properties: {
      path: { type: 'string', description: 'Where', minLength: 1 },
      limit: { type: 'integer', description: 'How many', minimum: 1, maximum: 10 },
      mode: { type: 'string', enum: ['read', 'write'], default: 'read' },
      tags: { type: 'array', items: { type: 'string' } },
    },
    required: ['path'],
    additionalProperties: false,
  });
  t.same(
    s.object({}).json,
    { type: 'object', properties: {}, additionalProperties: false },
    'properties is always there',
  );
  t.end();
});

test('schema, wrong values, one error per field that names it, what was expected and what came', (t) => {
  t.same(issuesOf(example, { path: '', limit: 1.5, mode: 'erase', tags: ['a', 3], pth: 1 }), [
    'pth: unknown; known are path, limit, mode, tags',
    'path: expected at least 1 characters, got 0',
    'limit: expected a whole number, got 1.5',
    'mode: expected one of read, write, got "erase"',
    'tags[1]: expected text, got 3',
  ]);
  t.same(issuesOf(example, {}), ['path: missing']);
  t.same(issuesOf(example, null), ['value: expected an object, got null']);
  t.same(issuesOf(example, [1]), ['value: expected an object, got a list']);
  t.same(issuesOf(example, { path: 'a', limit: 11 }), ['limit: expected at most 10, got 11']);
  t.same(issuesOf(s.object({ a: s.object({ b: s.boolean() }) }), { a: { b: 1 } }), [
    'a.b: expected true or false, got 1',
  ]);
  t.equal(issuesOf(s.array(s.number()), Array(100).fill('x')).length, 8, 'a long list of faults is cut');
  t.ok(issuesOf(s.number(), 'x'.repeat(1000))[0]!.length < 100, 'a long value is not repeated whole');
  t.end();
});

test('schema, null for an optional field, counts as absent, since models send it so', (t) => {
  t.same(example.parse({ path: 'a', limit: null, mode: null }), { path: 'a', mode: 'read' });
  t.same(issuesOf(example, { path: null }), ['path: expected text, got null']);
  t.end();
});

test('schema, field names of the prototype, never inherited and never assigned', (t) => {
  const shape = s.object({ constructor: s.string(), toString: s.string().optional() });
  t.same(issuesOf(shape, {}), ['constructor: missing']);
  t.same(issuesOf(s.object({ a: s.string() }), JSON.parse('{"a":"x","__proto__":{}}')), [
    '__proto__: unknown; known are a',
  ]);
  const record = s.record(s.string()).parse(JSON.parse('{"__proto__":"x"}'));
  t.equal(Object.getPrototypeOf(record), Object.prototype);
  t.same(Object.keys(record), ['__proto__']);
  t.same(
    s.openObject({ a: s.string() }).parse({ a: 'x', b: 1 }),
    { a: 'x' },
    'an open object drops what it does not know',
  );
  t.end();
});

/** What JSON Schema says about a value, for the keywords used here: the other half of the promise. */
function accepts(schema: JsonSchema, value: unknown): boolean {
  const { type, properties, required, items, anyOf, minimum, maximum, minLength, maxLength } = schema as Record<
    string,
    never
  >;
  const additional = schema['additionalProperties'];
  if (anyOf !== undefined) return (anyOf as JsonSchema[]).some((branch) => accepts(branch, value));
  if (schema['enum'] !== undefined) return (schema['enum'] as unknown[]).includes(value);
  if (type === 'string') {
    const length = typeof value === 'string' ? [...value].length : -1;
    return length >= (minLength ?? 0) && length <= (maxLength ?? Number.POSITIVE_INFINITY);
  }
  if (type === 'number' || type === 'integer') {
    const fits = typeof value === 'number' && (type === 'number' || Number.isInteger(value));
    return fits && value >= (minimum ?? Number.NEGATIVE_INFINITY) && value <= (maximum ?? Number.POSITIVE_INFINITY);
  }
  if (type === 'boolean') return typeof value === 'boolean';
  if (type === 'array') return Array.isArray(value) && value.every((entry) => accepts(items ?? {}, entry));
  if (type !== 'object') return true;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const known = (properties ?? {}) as Record<string, JsonSchema>;
  const present = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return (
    ((required ?? []) as string[]).every((key) => Object.hasOwn(value, key)) &&
    present.every(([key, entry]) => {
      if (Object.hasOwn(known, key)) return accepts(known[key] as JsonSchema, entry);
      return additional === undefined || (additional !== false && accepts(additional as JsonSchema, entry));
    })
  );
}

type AnySchema = Schema<unknown, Presence>;

const { schema: anySchema } = fc.letrec<{ schema: AnySchema; leaf: AnySchema; node: AnySchema }>((tie) => ({
  leaf: fc.oneof(
    fc.constant<AnySchema>(s.string()),
    fc.constant<AnySchema>(s.string(undefined, { minLength: 1, maxLength: 3 })),
    fc.constant<AnySchema>(s.number()),
    fc.constant<AnySchema>(s.integer(undefined, { min: 0, max: 5 })),
    fc.constant<AnySchema>(s.boolean()),
    fc.constant<AnySchema>(s.oneOf(['a', 'b'])),
    fc.constant<AnySchema>(s.json()),
  ),
  node: fc.oneof(
    tie('schema').map((item): AnySchema => s.array(item)),
    tie('schema').map((item): AnySchema => s.record(item)),
    fc.tuple(tie('schema'), tie('schema')).map((pair): AnySchema => s.union(pair)),
    fc.tuple(tie('schema'), tie('schema'), fc.boolean()).map(([a, b, open]): AnySchema => {
      const shape = { a, b: b.optional(), constructor: s.boolean().optional() };
      return open ? s.openObject(shape) : s.object(shape);
    }),
  ),
  schema: fc.oneof({ maxDepth: 3, depthIdentifier: 'schema' }, tie('leaf'), tie('node')),
}));

/** Values that come close to the schemas above, nulls apart: those count as absent on purpose. */
const { value: anyValue } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>('', 'a', 'b', 'abcd', '👋👋👋', 0, 3, 6, -1, 1.5, true, false),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom('a', 'b', 'c', 'constructor'), tie('value'), { maxKeys: 3 }),
  ),
}));

test('schema, any schema and any value, the check and the JSON Schema agree', (t) => {
  fc.assert(
    fc.property(anySchema, anyValue, (schema, value) => {
      const accepted = issuesOf(schema, value).length === 0;
      if (accepted !== accepts(schema.json, value))
        throw new Error(JSON.stringify({ schema: schema.json, value, accepted }));
    }),
    { numRuns: 2000 },
  );
  t.end();
});

test('schema, an accepted value, parsing what was parsed changes nothing', (t) => {
  fc.assert(
    fc.property(anySchema, anyValue, (schema, value) => {
      if (issuesOf(schema, value).length > 0) return;
      const once = schema.parse(value);
      t.same(schema.parse(once), once);
    }),
    { numRuns: 500 },
  );
  t.end();
});
