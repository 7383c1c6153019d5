import { type JsonSchema, Schema } from './schema.js';

/**
 * Schemas of other libraries, by the interfaces that these agreed on (standardschema.dev): `validate`, and `jsonSchema` of
 * Standard JSON Schema. zod 4 has both. Nothing of the library is imported here, so only what an author imports is bundled.
 */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): Outcome<T> | Promise<Outcome<T>>;
    readonly jsonSchema?: { input(options: { readonly target: 'draft-07' }): object };
  };
}

type Outcome<T> = { readonly value: T; readonly issues?: undefined } | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export function isStandardSchema(value: object): value is StandardSchema<unknown> {
  return '~standard' in value;
}

/**
 * A schema of another library as one of ours. `json`: its JSON Schema (draft 7) for libraries that cannot say it themselves,
 * such as `zod/mini`, where it is `z.toJSONSchema(schema, { target: 'draft-7' })`. Both are made while the capsule is built.
 * @throws TypeError for a schema without a JSON Schema, and later for one that validates asynchronously.
 */
export function fromStandard<T>(schema: StandardSchema<T>, json?: object): Schema<T> {
  const { vendor, validate, jsonSchema } = schema['~standard'];
  const described = json ?? jsonSchema?.input({ target: 'draft-07' });
  if (described === undefined) {
    throw new TypeError(`a schema of ${vendor} does not tell its JSON Schema: wrap it in fromStandard(schema, json)`);
  }
  return new Schema<T>(normalise(described as JsonSchema), 'required', undefined, (value, at, issues) => {
    const outcome = validate(value);
    if (outcome instanceof Promise) throw new TypeError(`a schema of ${vendor} validates asynchronously`);
    if (outcome.issues === undefined) return outcome.value;
    for (const issue of outcome.issues) issues.push(`${placeOf(issue, at)}: ${issue.message}`);
    return undefined;
  });
}

/** `properties` is always there, and the dialect goes without saying (ABI reference 3.4). */
function normalise(json: JsonSchema): JsonSchema {
  const { $schema: _dialect, ...rest } = json;
  return rest['type'] === 'object' ? { ...rest, properties: rest['properties'] ?? {} } : rest;
}

function placeOf(issue: Issue, at: string): string {
  let place = at;
  for (const step of issue.path ?? []) {
    const key = typeof step === 'object' ? step.key : step;
    if (typeof key === 'number') place += `[${key}]`;
    else place = place === '' ? String(key) : `${place}.${String(key)}`;
  }
  return place === '' ? 'value' : place;
}
