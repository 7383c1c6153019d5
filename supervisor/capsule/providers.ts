import semver from 'semver';
import type { ImportFact, ProviderFact } from '../../abi/capsule-control.js';
import type { CapsuleManifest, ImportRow } from '../../abi/manifest.js';
import { satisfiesRange } from './semver-rule.js';

/**
 * Who exports what an import asks for, the one that counts first. With several, the highest version comes first, equal
 * versions go by name: an order that does not depend on when something was installed. The bus itself has no such
 * choice (every provider hears its topics), so more than one is reported wherever imports are shown.
 */
function findProviders(row: ImportRow, all: readonly CapsuleManifest[]): ProviderFact[] {
  const found = all.flatMap(({ name, exports }) =>
    exports
      .filter(
        (one) => one.namespace === row.namespace && one.name === row.name && satisfiesRange(one.version, row.range),
      )
      .map(({ version }): ProviderFact => ({ capsule: name, version })),
  );
  return found.sort((a, b) => semver.rcompare(a.version, b.version) || (a.capsule < b.capsule ? -1 : 1));
}

export function describeImports(manifest: CapsuleManifest, all: readonly CapsuleManifest[]): ImportFact[] {
  return manifest.imports.map((row) => {
    const providers = findProviders(row, all);
    return { ...row, providers, met: providers.length > 0 };
  });
}
