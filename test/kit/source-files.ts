import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { PACKAGE_ROOT } from './package-root.js';

export interface SourceFile {
  /** Relative to the checkout. */
  readonly path: string;
  readonly text: string;
  /** Every specifier that is imported, static, re-exported or dynamic with a literal. */
  readonly imports: readonly string[];
}

const SPECIFIER =
  /(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/g;

export function readSources(...rooms: readonly string[]): SourceFile[] {
  return rooms
    .flatMap((room) => listFiles(join(PACKAGE_ROOT, room)))
    .map((path) => {
      const text = readFileSync(path, 'utf8');
      const imports = [...text.matchAll(SPECIFIER)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
      return { path: relative(PACKAGE_ROOT, path), text, imports };
    });
}

/** The folder below the checkout that a relative import leads to, for example `supervisor/gate`. */
export function targetOf(file: SourceFile, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return relative(PACKAGE_ROOT, join(PACKAGE_ROOT, dirname(file.path), specifier));
}

function listFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return entry.name === 'fixtures' || entry.name === 'templates' ? [] : listFiles(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}
