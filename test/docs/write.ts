import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { renderManifestPage } from './manifest-page.js';
import { renderSdkPage } from './sdk-page.js';

writeFileSync(join(PACKAGE_ROOT, 'docs/manifest.md'), renderManifestPage());
writeFileSync(join(PACKAGE_ROOT, 'docs/sdk.md'), renderSdkPage());
