import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Fault } from '../../abi/errno.js';
import { refreshTypes } from './project.js';

export const TEMPLATES = ['tool', 'provider', 'orchestrator', 'uplink', 'interceptor', 'as'] as const;
export type TemplateName = (typeof TEMPLATES)[number];

/** What every template has; a template's own file of the same name wins. */
const SHARED = 'shared';
/** npm renames a `.gitignore` in a package, so it travels without its dot. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore' };
/** The manifest's rule for names: 1 to 64 of a-z, 0-9 and -, no - at either end. */
const NAME = /^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$/;

export interface NewCapsule {
  readonly parent: string;
  readonly name: string;
  readonly template: TemplateName;
  readonly packageRoot: string;
}

/** @throws Fault `invalid_argument` for a name that no manifest takes */
export function requireCapsuleName(name: string): string {
  if (NAME.test(name)) return name;
  throw new Fault('invalid_argument', `name: expected 1 to 64 of a-z, 0-9 and -, no - at either end`, {
    field: 'name',
  });
}

/**
 * Makes the directory `<parent>/<name>` with the files of a template, and answers them, sorted. Whatever is there already,
 * a link included, is left alone: Fault `already_exists`.
 */
export async function createCapsule({ parent, name, template, packageRoot }: NewCapsule): Promise<string[]> {
  const files = await readTemplate(join(packageRoot, 'cli/author/templates'), template);
  const directory = join(parent, requireCapsuleName(name));
  try {
    await mkdir(directory);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new Fault('already_exists', `name: ${name} is there already, and nothing in it is touched`, {
      field: 'name',
      cause,
    });
  }
  try {
    for (const [path, text] of files) {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), text.replaceAll('{{name}}', name), { flag: 'wx' });
    }
    await refreshTypes({ dir: directory, packageRoot });
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return [...files.keys()].sort();
}

async function readTemplate(root: string, template: TemplateName): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const directory of [join(root, SHARED), join(root, template)]) {
    const entries = await readdir(directory, { withFileTypes: true, recursive: true });
    for (const entry of entries.filter((one) => one.isFile())) {
      const full = join(entry.parentPath ?? entry.path, entry.name);
      const path = join(full.slice(directory.length + 1, -entry.name.length), RENAMED[entry.name] ?? entry.name);
      files.set(path, await readFile(full, 'utf8'));
    }
  }
  return files;
}
