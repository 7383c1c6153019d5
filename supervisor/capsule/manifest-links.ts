import type { ExportRow, ImportRow } from '../../abi/manifest.js';
import type { ManifestFindings } from './manifest-findings.js';
import { EXPORT_ENTRY, IMPORT_ENTRY } from './manifest-schema.js';
import { toNpmRange } from './semver-rule.js';
import type { TomlPath } from './toml-lines.js';

const IDENTIFIER = /^[a-z][a-z0-9-]{0,63}$/;
const IDENTIFIER_TEXT = 'expected an identifier: a-z first, then a-z, 0-9 or -, at most 64';
const LINKS_MAX = 256;

interface Link {
  readonly namespace: string;
  readonly name: string;
  readonly entry: unknown;
  readonly path: TomlPath;
}

type Links = Readonly<Record<string, unknown>>;

/** `[imports.ns] iface = "^1.0"`, `[imports] "ns:iface" = "^1.0"`, and both with a table as value. */
export function readImports(links: Links, findings: ManifestFindings): ImportRow[] {
  return listLinks('imports', links, findings).flatMap(({ namespace, name, entry, path }) => {
    const checked = findings.check(IMPORT_ENTRY, entry, path);
    const range = checked && toNpmRange(checked.version);
    return checked && range ? [{ namespace, name, range, optional: checked.optional ?? false }] : [];
  });
}

export function readExports(links: Links, findings: ManifestFindings): ExportRow[] {
  return listLinks('exports', links, findings).flatMap(({ namespace, name, entry, path }) => {
    const checked = findings.check(EXPORT_ENTRY, entry, path);
    return checked ? [{ namespace, name, version: checked.version }] : [];
  });
}

function listLinks(section: string, links: Links, findings: ManifestFindings): Link[] {
  const found: Link[] = [];
  for (const [key, value] of Object.entries(links)) {
    const colon = key.indexOf(':');
    if (colon !== -1) {
      found.push(toLink(key.slice(0, colon), key.slice(colon + 1), value, [section, key]));
    } else if (isTable(value)) {
      for (const [name, entry] of Object.entries(value)) found.push(toLink(key, name, entry, [section, key, name]));
    } else {
      findings.problem([section, key], 'expected a table [namespace], or a key of the form "namespace:interface"');
    }
  }
  if (found.length > LINKS_MAX) findings.problem([section], `expected at most ${LINKS_MAX} entries`);
  return checkLinks(found, findings);
}

function toLink(namespace: string, name: string, value: unknown, path: TomlPath): Link {
  return { namespace, name, entry: typeof value === 'string' ? { version: value } : value, path };
}

/** An interface named twice would leave open which version was meant. */
function checkLinks(links: readonly Link[], findings: ManifestFindings): Link[] {
  const seen = new Set<string>();
  return links.filter(({ namespace, name, path }) => {
    if (!IDENTIFIER.test(namespace) || !IDENTIFIER.test(name)) {
      findings.problem(path, IDENTIFIER_TEXT);
      return false;
    }
    const key = `${namespace}:${name}`;
    if (seen.has(key)) {
      findings.problem(path, `${key} is named twice`);
      return false;
    }
    seen.add(key);
    return true;
  });
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
