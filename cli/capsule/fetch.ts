import { fetchFromGit } from './git-source.js';
import { fetchFromNpm } from './npm-source.js';
import type { CapsulePackage } from './package.js';
import { readFromPath } from './path-source.js';
import { type CapsuleSourceSpec, parseSource } from './source.js';
import { fetchFromUrl } from './url-source.js';

export interface FetchOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly insecureLocal: boolean;
}

export interface FetchedCapsule extends CapsulePackage {
  /** One spelling of where it came from, with which it can be fetched again. */
  readonly source: string;
}

/** Fetching and unpacking happen here, as the person; the supervisor believes nothing of the result. */
export async function fetchCapsule(text: string, options: FetchOptions): Promise<FetchedCapsule> {
  const spec = parseSource(text, options);
  return { ...(await fetchSpec(spec, options)), source: spec.text };
}

function fetchSpec(spec: CapsuleSourceSpec, options: FetchOptions): Promise<CapsulePackage> {
  switch (spec.kind) {
    case 'path':
      return readFromPath(spec.path, options.env);
    case 'url':
      return fetchFromUrl(spec.url, options);
    case 'npm':
      return fetchFromNpm(spec, options.env);
    case 'git':
      return fetchFromGit(spec, options.env);
  }
}
