import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../kit/package-root.js';
import { renderAbiPage } from './page.js';

writeFileSync(join(PACKAGE_ROOT, 'docs/abi.md'), renderAbiPage());
