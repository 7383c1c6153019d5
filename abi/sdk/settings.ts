import { get } from './env.js';
import { type ObjectOf, SchemaError, type Shape, s } from './schema.js';

/**
 * The capsule's configuration with types: names of the manifest's `[env]`, read at the first use and kept, since they are
 * fixed when the capsule is loaded. A value arrives as text: numbers, truth values and lists are read from it as JSON.
 *
 *   const config = settings({ MODEL: s.string().default('small'), RETRIES: s.integer().default(3) });
 *   … config().RETRIES
 *
 * The function throws a SchemaError that names every value that is missing or wrong (never the value of one).
 */
export function settings<S extends Shape>(shape: S): () => ObjectOf<S> {
  let known: ObjectOf<S> | undefined;
  return () => {
    known ??= readSettings(shape);
    return known;
  };
}

function readSettings<S extends Shape>(shape: S): ObjectOf<S> {
  const raw: Record<string, unknown> = {};
  for (const [name, { json }] of Object.entries(shape)) {
    const text = get(name);
    if (text !== undefined) raw[name] = json['type'] === 'string' ? text : parseJson(text);
  }
  try {
    return s.object(shape).parse(raw);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    // What follows `got` is the value itself, which may be anything a person typed.
    throw new SchemaError(error.issues.map((issue) => issue.replace(/, got .*$/s, '')));
  }
}

/** Text that is no JSON stays text, and the schema says what it should have been. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
